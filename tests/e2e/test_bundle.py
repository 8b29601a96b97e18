"""Two nodes without any way out of their cluster get everything from a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from labs import Lab, clone, start_lab
from test_road import recap

pytestmark = pytest.mark.slow

# Routes to the other nodes and the controller alone, and nothing that was fetched before.
CUT_OFF = (
    "ip route del default; ip route add blackhole REGISTRY/32;"
    " rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*"
)
REACHES = "timeout 5 bash -c 'echo > /dev/tcp/ADDRESS/PORT' 2> /dev/null && echo reached || echo cut off"
# Unpacking an engine twice on a loaded machine takes minutes.
LONG = 1800
ENGINE = "command -v podman || echo none"


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path]]:
    """The lab, whose nodes were cut off after the bundle was made, and the bundle."""
    for lab in start_lab(clone(), tmp_path_factory.mktemp("lab"), "--nodes", "2"):
        bundle = tmp_path_factory.mktemp("bundle") / "lab.tar"
        lab.installation.nimctl(
            "bundle", "-i", lab.inventory, "--output", bundle, "--distribution", "debian-13"
        )
        for node in ("node1", "node2"):
            lab.sh(node, CUT_OFF.replace("REGISTRY", registry(lab)[0]))
        yield lab, bundle


def registry(lab: Lab) -> tuple[str, str]:
    """Address and port of the lab's registry."""
    listing = lab.installation.nimctl_json("inventory", "-i", lab.inventory)
    image = listing["_meta"]["hostvars"]["node1"]["nim_ranks"][0]["image"]
    address, _, port = image.partition("/")[0].partition(":")
    return address, port


def reaches(lab: Lab, node: str, address: str, port: str) -> bool:
    return "reached" in lab.sh(node, REACHES.replace("ADDRESS", address).replace("PORT", port))


def address(lab: Lab, node: str) -> str:
    listing = lab.installation.nimctl_json("inventory", "-i", lab.inventory)
    return str(listing["_meta"]["hostvars"][node]["ansible_host"])


def test_nodes_without_a_way_out_serve_a_completion(cut_off: tuple[Lab, Path]) -> None:
    lab, bundle = cut_off
    for node, other in (("node1", "node2"), ("node2", "node1")):
        assert reaches(lab, node, address(lab, other), "22")
        assert not reaches(lab, node, *registry(lab))
        assert not reaches(lab, node, "deb.debian.org", "80")
        assert not reaches(lab, node, "192.0.2.1", "443")
        assert lab.sh(node, "ip route show default") == ""
        assert lab.sh(node, ENGINE).strip() == "none"
    command = ("nimctl", "provision", "-i", lab.inventory, "--from-bundle", bundle, "--format", "json")
    done = lab.installation.run(*command, timeout=LONG)
    assert json.loads(done.stdout)["result"] == "done"
    name = httpx.get(f"http://{address(lab, 'node1')}:8000/v1/models").json()["data"][0]["id"]
    body = {"model": name, "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 8}
    url = f"http://{address(lab, 'node1')}:8000/v1/chat/completions"
    assert httpx.post(url, json=body, timeout=60).json()["usage"]["completion_tokens"] == 8
    for node in ("node1", "node2"):
        # The engine is from the bundle, and what served it to the other node has ended.
        made = {platform["name"]: platform for platform in said(lab, bundle)["platforms"]}
        version = lab.sh(node, "dpkg-query -W -f '${Version}' podman")
        assert [version] == made["debian-13-x86_64"]["packages"]["podman"]
        assert "nimctl-bundle" not in lab.sh(node, "systemctl list-units --all --no-legend")
        assert lab.sh(node, "ls /var/lib/nimctl-bundle/images 2> /dev/null || true") == ""
        assert lab.sh(node, "ls /etc/apt/sources.list.d") == "debian.sources\n"


def said(lab: Lab, bundle: Path) -> Any:
    done = lab.installation.nimctl("bundle", "--check", bundle, "-i", lab.inventory, "--format", "json")
    return json.loads(done.stdout)


def test_a_second_run_by_plain_ansible_changes_and_skips_nothing(cut_off: tuple[Lab, Path]) -> None:
    lab, bundle = cut_off
    site = (lab.installation.site, "-i", lab.inventory, "-e", f"nimctl_bundle={bundle}")
    plain = recap(lab.installation.run("ansible-playbook", *site, timeout=LONG).stdout)
    assert {node: (changed, skipped) for node, (_, changed, skipped) in plain.items()} == {
        "node1": (0, 0),
        "node2": (0, 0),
    }


def test_another_image_than_that_of_the_bundle_is_refused(cut_off: tuple[Lab, Path]) -> None:
    lab, bundle = cut_off
    lock = lab.inventory / "cluster.lock.yml"
    text = lock.read_text()
    digest = text.partition("sha256:")[2][:64]
    try:
        lock.write_text(text.replace(digest, "a" * 64))
        refused = lab.installation.nimctl(
            "provision", "-i", lab.inventory, "--from-bundle", bundle, check=False
        )
    finally:
        lock.write_text(text)
    assert refused.returncode == 2
    assert f"the image {registry(lab)[0]}:{registry(lab)[1]}/rehearsal:1 with the digest" in refused.stderr


def test_destroy_takes_the_packages_and_the_bundle_away(cut_off: tuple[Lab, Path]) -> None:
    lab, _ = cut_off
    lab.installation.nimctl("destroy", "-i", lab.inventory, "--yes")
    for node in ("node1", "node2"):
        assert lab.sh(node, ENGINE).strip() == "none"
        assert lab.sh(node, "ls -d /var/lib/nimctl-bundle 2> /dev/null || echo gone").strip() == "gone"
