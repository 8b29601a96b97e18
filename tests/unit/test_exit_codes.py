"""What was asked for by a name that does not exist is rejected: 2, no host was contacted."""

import pytest

from nimctl.errors import REJECTED, NimctlError
from nimctl.inventory import compose, read
from nimctl.lab import inside, status
from nimctl.listing import host_variables

DESCRIPTION = """\
plugin: nimctl.multinode.cluster
name: x
nodes: [{hosts: "gpu[1-2]", gpu: {count: 0}}]
"""


def test_variables_of_an_unknown_host(tmp_path):
    (tmp_path / "cluster.yml").write_text(DESCRIPTION)
    with pytest.raises(NimctlError, match=r"gpu_1 is no node of this cluster; did you mean gpu1\?") as caught:
        host_variables(compose(read(tmp_path)), "gpu_1")
    assert caught.value.exit_code == REJECTED


def test_status_of_an_unknown_lab(monkeypatch):
    monkeypatch.setattr(status, "detect", lambda folder: None)
    monkeypatch.setattr(inside, "look", lambda engine, names: inside.Inside({}, None, None, None, ()))
    with pytest.raises(NimctlError, match="There is no lab nope") as caught:
        status.status("nope")
    assert caught.value.exit_code == REJECTED
