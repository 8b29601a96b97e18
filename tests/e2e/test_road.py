"""From bare nodes to a completion and back, with nimctl and with plain ansible-playbook."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import httpx
import pytest

TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.+?)\] \*")
OUTCOME = re.compile(r"^(ok|changed|skipping|failed|fatal): \[(\S+?)\]")
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)\s+skipped=(\d+)")

# What a run may put on a node; the lease and the history are bookkeeping of runs and differ by design, and
# so does what is in a key that a run makes up.
MANAGED = (
    "find /etc/systemd/system /etc/nimctl /etc/containers /etc/docker -type f -o -type l 2>/dev/null | sort"
    " | while read -r f; do stat -c '%a %U:%G %n' \"$f\";"
    ' case "$f" in *.key) ;; *) sha256sum < "$f" ;; esac; done;'
    " dpkg-query -W -f '${Package} ${Status} ${Version}\\n' podman docker.io 2>/dev/null;"
    " systemctl list-units --no-legend --plain 'nim-*' 'nimctl-*' | awk '{print $1, $3}';"
    " stat -c '%a %u %n' /var/cache/nimctl/* 2>/dev/null || true"
)


def changed_tasks(output: str) -> dict[str, set[str]]:
    """Which tasks reported a change, per host, from the output of ansible-playbook."""
    changed: dict[str, set[str]] = defaultdict(set)
    task = ""
    for line in output.splitlines():
        if match := TASK.match(line):
            task = match[1]
        elif (match := OUTCOME.match(line)) and match[1] == "changed":
            changed[match[2]].add(task)
    return changed


def recap(output: str) -> dict[str, tuple[int, int, int]]:
    """(executed, changed, skipped) per node from the recap of ansible-playbook."""
    return {
        match[1]: (int(match[2]), int(match[3]), int(match[6]))
        for match in map(RECAP.match, output.splitlines())
        if match and match[1] != "localhost"
    }


def managed_state(lab) -> dict[str, str]:
    return {node: lab.sh(node, MANAGED) for node in ("node1", "node2")}


def address(lab, node: str) -> str:
    listing = json.loads(lab.installation.nimctl("inventory", "-i", lab.inventory, "--format", "json").stdout)
    return listing["_meta"]["hostvars"][node]["ansible_host"]


@pytest.fixture(scope="module")
def provisioned(two_nodes):
    """The lab after check mode and then a plain ansible-playbook; both outputs."""
    site = (two_nodes.installation.site, "-i", two_nodes.inventory)
    two_nodes.installation.nimctl("lock", "-i", two_nodes.inventory)
    predicted = two_nodes.installation.playbook(*site, "--check").stdout
    done = two_nodes.installation.playbook(*site).stdout
    return two_nodes, predicted, done


def test_check_mode_on_bare_nodes_predicts_the_run(provisioned):
    _, predicted, done = provisioned
    assert changed_tasks(done)["node1"]
    assert changed_tasks(predicted) == changed_tasks(done)


def test_rank_0_answers_a_chat_completion(provisioned):
    lab, _, _ = provisioned
    url = f"http://{address(lab, 'node1')}:8000"
    name = httpx.get(f"{url}/v1/models").json()["data"][0]["id"]
    body = {"model": name, "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 8}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 8


def test_a_worker_serves_no_http(provisioned):
    lab, _, _ = provisioned
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{address(lab, 'node2')}:8000/v1/models", timeout=5)


def test_a_second_run_changes_and_skips_nothing(provisioned):
    lab, _, _ = provisioned
    plain = recap(lab.installation.playbook(lab.installation.site, "-i", lab.inventory).stdout)
    assert set(plain) == {"node1", "node2"}
    for executed, changed, skipped in plain.values():
        assert (changed, skipped) == (0, 0)
        assert executed <= 30


def test_a_second_run_by_nimctl_changes_nothing(provisioned):
    lab, _, _ = provisioned
    answer = lab.installation.nimctl_json("provision", "-i", lab.inventory)
    assert {node: stats["changed"] for node, stats in answer["nodes"].items()} == {"node1": 0, "node2": 0}


def test_status_and_test_say_that_it_serves(provisioned):
    lab, _, _ = provisioned
    lab.installation.nimctl("status", "-i", lab.inventory)
    lab.installation.nimctl("test", "-i", lab.inventory)


def test_nimctl_provision_makes_the_same_hosts_as_the_playbook(provisioned):
    lab, _, _ = provisioned
    by_playbook = managed_state(lab)
    lab.installation.nimctl("destroy", "-i", lab.inventory, "--yes")
    assert "nim-" not in lab.sh("node1", "systemctl list-units --all --no-legend 'nim-*'")
    lab.installation.nimctl("provision", "-i", lab.inventory)
    assert managed_state(lab) == by_playbook
