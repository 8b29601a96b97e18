from __future__ import annotations

import pytest

from nimctl.errors import RejectedError
from nimctl.lab.faults import parse_rate, read_faults, show_rate

TABLE = """\
table inet nimctl_lab {
	chain input {
		type filter hook input priority -400; policy accept;
		ip saddr 10.89.70.12 drop comment "lab: cut node2"
		ip saddr 10.89.70.13 numgen random mod 100 < 10 drop comment "lab: lose 10% node3"
	}

	chain output {
		type filter hook output priority -400; policy accept;
		ip daddr 10.89.70.12 drop comment "lab: cut node2"
		ip daddr 10.89.70.13 numgen random mod 100 < 10 drop comment "lab: lose 10% node3"
	}
}
"""
NOTHING = '[{"kind":"noqueue","handle":"0:","root":true,"refcnt":2,"options":{}}]'
SLOW = (
    '[{"kind":"tbf","handle":"8001:","root":true,"refcnt":3,'
    '"options":{"rate":25000000,"burst":65536,"lat":400000}}]'
)


def test_a_sound_node_has_no_faults():
    assert read_faults(f"\n{NOTHING}\n") == ()


def test_faults_are_read_from_the_packet_filter_and_the_queue():
    assert read_faults(f"{TABLE}\n{SLOW}\n") == ("cut node2", "lose 10% node3", "slow 200mbit")


def test_a_filter_of_somebody_else_is_no_fault():
    assert read_faults('table inet filter {\n ip saddr 1.2.3.4 drop comment "site"\n}\n\n' + NOTHING) == ()


@pytest.mark.parametrize(("text", "bits"), [("200mbit", 200_000_000), ("1gbit", 10**9), ("512kbit", 512_000)])
def test_rates_are_read_and_shown_alike(text, bits):
    assert parse_rate(text) == bits
    assert show_rate(bits) == text


@pytest.mark.parametrize(
    "text", ["", "0mbit", "200", "200MB", "-1mbit", "1.5gbit", "1mbit; reboot", "1mbit\n"]
)
def test_what_is_no_rate_is_rejected(text):
    with pytest.raises(RejectedError, match="200mbit"):
        parse_rate(text)
