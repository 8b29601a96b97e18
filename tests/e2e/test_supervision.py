"""A replica of two ranks lives and dies as a whole, and comes back by itself, whatever happens to it.

Times are those of `benchmarks/` on an idle machine; here they are generous, for one that others use as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

pytestmark = pytest.mark.slow

NAME = "pair"
STATE = f"/var/lib/nimctl/{{cluster}}/replicas/{NAME}-0-0.json"


@pytest.fixture(scope="module")
def installation():
    from labs import clone

    return clone()


@pytest.fixture(scope="module")
def pair(two_nodes):
    """Two ranks on two nodes under vLLM's contract, which shows progress step by step."""
    file = two_nodes.inventory / "cluster.yml"
    description = yaml.safe_load(file.read_text())
    image = description["deployments"][0]["image"]
    description["deployments"] = [
        {
            "name": NAME,
            "model": f"lab/{NAME}",
            "engine": "rehearsal",
            "contract": "vllm",
            "image": image,
            "parallel": {"tensor": 1, "pipeline": 2},
        }
    ]
    file.write_text(yaml.safe_dump(description, sort_keys=False))
    two_nodes.installation.nimctl("provision", "-i", two_nodes.inventory)
    return two_nodes


@pytest.fixture
def serving(pair):
    """The pair, serving; every test leaves it so."""
    wait(lambda: state(pair)["state"] == "serving" and answers(pair), 180)
    yield pair
    pair.installation.nimctl("lab", "heal", "--name", pair.name)
    wait(lambda: state(pair)["state"] == "serving" and answers(pair), 180)


def state(lab) -> dict[str, Any]:
    """What the supervisor beside rank 0 says."""
    path = STATE.format(cluster=cluster(lab))
    return json.loads(lab.sh("node1", f"cat {path}"))


def cluster(lab) -> str:
    return yaml.safe_load((lab.inventory / "cluster.yml").read_text())["name"]


def url(lab) -> str:
    listing = lab.installation.nimctl_json("inventory", "-i", lab.inventory)
    return f"http://{listing['_meta']['hostvars']['node1']['ansible_host']}:8000"


def answers(lab) -> bool:
    """Whether a completion comes, through both ranks."""
    body = {"model": f"lab/{NAME}", "prompt": "Hello", "max_tokens": 4}
    try:
        return httpx.post(f"{url(lab)}/v1/completions", json=body, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def wait(what: Callable[[], bool], most: float) -> float:
    """Wait until something is so; the seconds that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < most, f"not so after {most} s"
        time.sleep(0.5)
    return time.monotonic() - began


def fault(lab, *words: str) -> None:
    lab.installation.nimctl("lab", "fault", *words, "--name", lab.name)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_has_the_whole_replica_restarted(serving, rank):
    before = state(serving)
    fault(serving, "kill-rank", f"{NAME}-0-{rank}")
    wait(lambda: state(serving)["restarts"] > before["restarts"], 30)
    wait(lambda: state(serving)["state"] == "serving", 90)
    assert answers(serving)
    after = state(serving)
    assert after["restarts"] == before["restarts"] + 1
    assert f"rank {rank}" in after["reason"]


def test_a_rank_that_hangs_is_found_though_its_health_check_answers(serving):
    """Rank 1 stands still: nothing exits, rank 0 is up and healthy, completions hang."""
    before = state(serving)
    pid = serving.sh("node2", f"podman inspect --format '{{{{.State.Pid}}}}' nim-{NAME}-0-1").strip()
    serving.sh("node2", f"kill -STOP {pid}")
    assert httpx.get(f"{url(serving)}/health", timeout=5).status_code == 200
    took = wait(lambda: state(serving)["restarts"] > before["restarts"], 240)
    assert took >= 45
    assert "no token for" in state(serving)["reason"]


def test_a_node_that_is_away_leaves_the_replica_degraded_until_it_is_back(serving):
    before = state(serving)
    fault(serving, "stop", "node2")
    wait(lambda: state(serving)["state"] == "degraded", 60)
    shown = serving.installation.nimctl("status", "-i", serving.inventory, check=False)
    assert shown.returncode == 1
    assert "degraded" in shown.stdout
    assert state(serving)["waits_for"] == ["node2"]
    time.sleep(30)
    assert state(serving)["restarts"] == before["restarts"] + 1
    serving.installation.nimctl("lab", "heal", "--name", serving.name)
    wait(lambda: state(serving)["state"] == "serving", 120)
    assert answers(serving)


def test_a_cut_between_the_nodes_stops_both_and_heals_by_itself(serving):
    fault(serving, "cut", "node1", "node2")
    wait(lambda: state(serving)["state"] == "degraded", 60)
    wait(
        lambda: serving.sh("node2", f"systemctl is-active nim-{NAME}-0-1 || true").strip() != "active",
        60,
    )
    serving.installation.nimctl("lab", "heal", "--name", serving.name)
    wait(lambda: state(serving)["state"] == "serving", 120)
    assert answers(serving)


def test_provision_during_a_recovery_neither_breaks_nor_lengthens_it(serving):
    before = state(serving)
    fault(serving, "kill-rank", f"{NAME}-0-1")
    serving.installation.nimctl("provision", "-i", serving.inventory)
    after = state(serving)
    assert after["state"] == "serving"
    assert after["restarts"] == before["restarts"] + 1
    assert answers(serving)


def test_the_ranks_outlive_their_supervisors(serving):
    before = state(serving)
    for node, rank in (("node1", 0), ("node2", 1)):
        serving.sh(node, f"systemctl kill --signal=KILL nimctl-supervise-{NAME}-0-{rank}")
    time.sleep(20)
    after = state(serving)
    assert (after["generation"], after["restarts"]) == (before["generation"], before["restarts"])
    assert answers(serving)


def test_nobody_without_the_key_is_heard(serving):
    listing = serving.installation.nimctl_json("inventory", "-i", serving.inventory)
    port = listing["_meta"]["hostvars"]["node1"]["nim_ranks"][0]["supervision"]["port"]
    before = state(serving)
    report = json.dumps({"rank": 1, "replica": f"{NAME}-0", "generation": before["generation"], "up": False})
    serving.sh(
        "node2",
        "python3 -c 'import socket,sys; "
        f'link = socket.create_connection(("node1", {port}), 5); link.recv(100); '
        "link.sendall(sys.argv[1].encode()); print(link.recv(100))' "
        f"'{'0' * 64} {report}'",
    )
    time.sleep(3)
    assert state(serving)["restarts"] == before["restarts"]
    log = serving.sh("node1", f"journalctl -o cat -u nimctl-supervise-{NAME}-0-0")
    assert "was not accepted" in log
