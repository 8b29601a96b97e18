"""Three deployments at once on four nodes, and what is left when one of them goes."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import httpx
import pytest
import yaml

pytestmark = pytest.mark.slow

NODES = ("node1", "node2", "node3", "node4")


def rehearsal(name: str, port: int, contract: str, **fields) -> dict:
    """One deployment of the rehearsal engine under a contract."""
    return {
        "name": name,
        "model": f"lab/{name}",
        "engine": "rehearsal",
        "contract": contract,
        "port": port,
        **fields,
    }


def write_deployments(lab, deployments: list[dict]) -> None:
    """Replace the deployments of the lab's description; they use the image that it named before."""
    file = lab.inventory / "cluster.yml"
    description = yaml.safe_load(file.read_text())
    image = description["deployments"][0]["image"]
    description["deployments"] = [{"image": image, **deployment} for deployment in deployments]
    file.write_text(yaml.safe_dump(description, sort_keys=False))


def leaders(lab) -> dict[str, list[str]]:
    """The URL of every replica's rank 0, per deployment."""
    listing = lab.installation.nimctl("inventory", "-i", lab.inventory, "--format", "json").stdout
    urls: dict[str, list[str]] = {}
    for variables in json.loads(listing)["_meta"]["hostvars"].values():
        for rank in variables.get("nim_ranks", []):
            if rank["rank"] == 0:
                url = f"http://{variables['ansible_host']}:{rank['ports']['api']}"
                urls.setdefault(rank["deployment"], []).append(url)
    return urls


def completion(url: str, model: str) -> str:
    """The text of one short completion."""
    answer = httpx.post(
        f"{url}/v1/completions", json={"model": model, "prompt": "Hello", "max_tokens": 6}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["text"]


def containers(lab) -> dict[str, set[str]]:
    """Names and ids of the running containers of each node."""
    return {
        node: set(lab.sh(node, "podman ps --no-trunc --format '{{.Names}} {{.ID}}'").splitlines())
        for node in NODES
    }


TWIN = rehearsal("twin", 8000, "nim1-env", replicas=2, parallel={"tensor": 1, "pipeline": 2})
RAY = rehearsal("ray", 8100, "nim2-ray", hosts="node[3-4]", parallel={"tensor": 1, "pipeline": 2})
SINGLE = rehearsal("single", 8200, "rehearsal", hosts="node1")


@pytest.fixture(scope="module")
def serving(four_nodes):
    write_deployments(four_nodes, [TWIN, RAY, SINGLE])
    four_nodes.installation.nimctl("provision", "-i", four_nodes.inventory)
    return four_nodes


def test_all_three_answer_with_the_tokens_of_one_model(serving):
    urls = leaders(serving)
    assert {name: len(each) for name, each in urls.items()} == {"twin": 2, "ray": 1, "single": 1}
    texts = {completion(url, f"lab/{name}") for name, each in urls.items() for url in each}
    assert len(texts) == 1, "the split must not change the tokens"


def forms(secret: str) -> list[str]:
    """The secret as it is, and the part of its base64 that does not depend on what stands around it."""
    found = [secret]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode()
        first = (shift * 8 + 5) // 6
        found.append(encoded[first : (shift + len(secret)) * 8 // 6])
    return found


def search(lab, node: str) -> list[str]:
    """Where on a node the lab's key is found."""
    key = lab.inventory / ".lab" / "ngc_api_key"
    request = {"patterns": forms(key.read_text().strip()), "since": key.stat().st_mtime - 1}
    script = Path(__file__).with_name("find_secret.py").read_text()
    lab.sh(node, "cat > /run/find_secret.py", stdin=script)
    return lab.sh(node, "python3 /run/find_secret.py", stdin=json.dumps(request)).splitlines()


@pytest.mark.parametrize("shift", [None, 0, 1, 2], ids=["raw", "base64+0", "base64+1", "base64+2"])
def test_the_search_finds_a_planted_key(serving, shift):
    key = (serving.inventory / ".lab" / "ngc_api_key").read_text().strip()
    planted = key if shift is None else base64.b64encode(("x" * shift + key + "y").encode()).decode()
    serving.sh("node4", "umask 077; cat > /var/tmp/planted", stdin=f"before{planted}after")
    try:
        assert "file /var/tmp/planted" in search(serving, "node4")
    finally:
        serving.sh("node4", "rm /var/tmp/planted")


def test_the_key_is_on_no_node(serving):
    assert {node: search(serving, node) for node in NODES} == {node: [] for node in NODES}


def test_the_key_is_in_no_record_and_no_inventory(serving):
    key = (serving.inventory / ".lab" / "ngc_api_key").read_text().strip()
    patterns = [form.encode() for form in forms(key)]
    records = [path for path in serving.installation.folder.glob(".nimctl/**/*") if path.is_file()]
    assert records, "the run left no record to look at"
    beside = [path for path in serving.inventory.rglob("*") if path.is_file() and ".lab" not in path.parts]
    listing = serving.installation.nimctl("inventory", "-i", serving.inventory).stdout.encode()
    for pattern in patterns:
        assert pattern not in listing
        assert not [path for path in [*records, *beside] if pattern in path.read_bytes()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in records), "records are for their owner only"
    assert key not in json.dumps(dict(os.environ))


def test_removing_one_deployment_removes_exactly_that_one(serving):
    before = containers(serving)
    write_deployments(serving, [TWIN, SINGLE])
    serving.installation.nimctl("provision", "-i", serving.inventory)
    after = containers(serving)
    gone = {line.split()[0] for node in NODES for line in before[node] - after[node]}
    assert gone == {"nim-ray-0-0", "nim-ray-0-1"}
    assert all(after[node] <= before[node] for node in NODES), "nothing else restarted"
    assert set(leaders(serving)) == {"twin", "single"}
    for node in ("node3", "node4"):
        assert "ray" not in serving.sh(node, "ls /etc/systemd/system /etc/nimctl -R")
