"""Labs themselves: bare nodes over SSH, a registry with a login, faults that heal, no trace afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NIMCTL = str(ROOT / ".venv" / "bin" / "nimctl")
ENGINE = "podman" if shutil.which("podman") else "docker"


KNOWN: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class Lab:
    """A lab that is up, and the inventory folder that describes it."""

    name: str
    inventory: Path

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Call nimctl lab; whether it worked is for the caller to see."""
        verb, *rest = map(str, arguments)
        return subprocess.run(
            [NIMCTL, "lab", verb, *rest], capture_output=True, text=True, check=False, timeout=400, cwd=ROOT
        )

    def answer(self, *arguments: str | Path) -> Any:
        """What nimctl lab answers with --format json."""
        done = self.call(*arguments, "--name", self.name, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def sh(self, node: str, script: str) -> str:
        """Run a shell script as root on a node, by `nimctl lab shell`; its standard output."""
        done = self.call("shell", "--name", self.name, node, "--", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout


def everything() -> set[str]:
    """Containers, volumes and networks that labs of this test could have made; also nameless volumes."""
    listings = [
        ["ps", "--all", *(["--external"] if ENGINE == "podman" else []), "--format", "{{.Names}}"],
        ["volume", "ls", "--format", "{{.Name}}"],
        ["network", "ls", "--format", "{{.Name}}"],
    ]
    found = set()
    for listing in listings:
        shown = subprocess.run([ENGINE, *listing], capture_output=True, text=True, check=True).stdout
        found.update(f"{listing[0]} {name}" for name in shown.split())
    return {entry for entry in found if "e2e-cut" in entry or re.fullmatch(r"volume [0-9a-f]{64}", entry)}


def temporary() -> set[str]:
    """Temporary files that engines, mmdebstrap or we may have left."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nimctl"
    folders = (Path("/var/tmp"), Path("/tmp"))
    names = ("nimctl-lab-*", "mmdebstrap.*", "storage*", "buildah*", "container_images_storage*")
    return {
        *(str(path) for folder in folders for pattern in names for path in folder.glob(pattern)),
        *(str(path) for path in cache.rglob("*e2e-cut*")),
    }


def ssh(lab: Lab, node: str, command: str) -> str:
    """Log in the way Ansible does, with the lab's key and nothing but the lab's known hosts."""
    secret = lab.inventory / ".lab"
    argv = [
        *("ssh", "-F", "/dev/null", "-i", str(secret / "ssh_key"), "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={secret / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
        *(f"ops@{address(lab, node)}", command),
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout


def status(lab: Lab) -> dict[str, dict]:
    rows = lab.answer("status")["nodes"]
    return {row["name"]: row for row in rows}


def address(lab: Lab, name: str) -> str:
    """The address of a node; those of a lab never change."""
    known = KNOWN.setdefault(lab.name, {})
    if name not in known:
        known.update({node: row["address"] for node, row in status(lab).items()})
    return known[name]


def faults(lab: Lab) -> dict[str, list[str]]:
    return {name: row["faults"] for name, row in status(lab).items() if row["faults"]}


def fault(lab: Lab, *words: str) -> bool:
    """Make a fault; whether it was new."""
    return lab.answer("fault", *words)["changed"]


def heal(lab: Lab, *nodes: str) -> list[str]:
    return lab.answer("heal", *nodes)["healed"]


def up(lab: Lab, *options: str) -> dict:
    return lab.answer("up", "--inventory", lab.inventory, *options)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    name = f"e2e-lab-{uuid.uuid4().hex[:4]}"
    lab = Lab(name, tmp_path_factory.mktemp("lab") / "inventory")
    try:
        up(lab, "--nodes", "2", "--gpus", "2")
        yield lab
    finally:
        assert lab.call("down", "--name", name, "--inventory", lab.inventory).returncode == 0


@pytest.fixture
def healed(lab):
    yield lab
    heal(lab)


def test_nodes_are_bare_machines_reached_by_ssh(lab):
    for node in ("node1", "node2"):
        assert ssh(lab, node, "hostname").strip() == node
        assert ssh(lab, node, "sudo id -u; sudo systemctl is-system-running --wait").split() == [
            "0",
            "running",
        ]
        assert ssh(lab, node, "command -v podman docker runc crun || echo none").strip() == "none"
    assert len({ssh(lab, node, "cat /etc/machine-id") for node in ("node1", "node2")}) == 2
    assert ssh(lab, "node1", "getent hosts node2 registry").split()[::2] == [
        address(lab, "node2"),
        address(lab, "registry"),
    ]


def test_the_engines_packages_are_at_hand(lab):
    install = "sudo apt-get install -y -qq --no-install-recommends --print-uris"
    wanted = ssh(lab, "node1", f"{install} podman netavark aardvark-dns docker.io docker-cli runc crun")
    assert [line for line in wanted.splitlines() if line.startswith("'")] == []


def test_the_registry_asks_for_the_labs_key_and_holds_the_rehearsal_image(lab):
    key = (lab.inventory / ".lab" / "ngc_api_key").read_text().strip()
    trust = ssl.create_default_context(cafile=str(lab.inventory / ".lab" / "ca.crt"))
    url = f"https://{address(lab, 'registry')}:5000/v2/rehearsal/manifests/1"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    assert httpx.get(url, verify=trust).status_code == 401
    assert httpx.get(url, verify=trust, auth=("$oauthtoken", "nvapi-wrong")).status_code == 401
    answer = httpx.get(url, verify=trust, auth=("$oauthtoken", key), headers=accept)
    assert answer.status_code == 200
    assert answer.headers["docker-content-digest"].startswith("sha256:")


def test_stand_ins_for_gpus_survive_a_reboot(lab):
    assert ssh(lab, "node2", "ls /dev/nvidia[0-9]").split() == ["/dev/nvidia0", "/dev/nvidia1"]
    fault(lab, "stop", "node2")
    heal(lab)
    assert ssh(lab, "node2", "ls /dev/nvidia[0-9]").split() == ["/dev/nvidia0", "/dev/nvidia1"]


def test_a_second_up_changes_nothing(lab):
    before = {node: ssh(lab, node, "cat /proc/1/stat | cut -d' ' -f22") for node in ("node1", "node2")}
    answer = up(lab)
    assert {node["name"]: node["change"] for node in answer["nodes"]} == {"node1": "kept", "node2": "kept"}
    assert before == {node: ssh(lab, node, "cat /proc/1/stat | cut -d' ' -f22") for node in before}


def test_a_lab_grows_and_shrinks_around_the_nodes_that_stay(lab):
    ssh(lab, "node1", "echo mine | sudo tee /root/mine")
    changes = {node["name"]: node["change"] for node in up(lab, "--nodes", "3")["nodes"]}
    assert changes == {"node1": "kept", "node2": "kept", "node3": "made"}
    assert ssh(lab, "node3", "getent hosts node1").split()[0] == address(lab, "node1")
    assert up(lab, "--nodes", "2")["removed"] == ["node3"]
    assert "node3" not in status(lab)
    assert ssh(lab, "node1", "sudo cat /root/mine").strip() == "mine"
    assert "node[1-2]" in (lab.inventory / "cluster.yml").read_text()


def test_a_description_that_somebody_changed_stays_theirs(lab):
    file = lab.inventory / "cluster.yml"
    generated = file.read_text()
    file.write_text(generated + "# mine\n")
    assert up(lab)["description_written"] is False
    assert file.read_text().endswith("# mine\n")
    file.write_text(generated)
    assert up(lab)["description_written"] is True


def test_a_lock_that_names_an_image_which_is_gone_is_pointed_out(lab):
    lock = lab.inventory / "cluster.lock.yml"
    image = f"{address(lab, 'registry')}:5000/rehearsal:1"
    try:
        lock.write_text(
            "plugin: nimctl.multinode.cluster\nversion: 1\n"
            f'images:\n  "{image}": sha256:{"a" * 64}\nplacement: {{}}\n'
        )
        done = lab.call("up", "--name", lab.name, "--inventory", lab.inventory)
    finally:
        lock.unlink()
    assert done.returncode == 0, done.stderr
    assert f"{image} was made again" in done.stderr
    assert f"nimctl lock -i {lab.inventory} --upgrade images" in done.stderr


def test_a_cut_separates_two_nodes_and_nobody_else(healed):
    ping = "sudo ping -c 1 -W 1 {} >/dev/null && echo answers || echo silent"
    assert ssh(healed, "node1", ping.format("node2")).strip() == "answers"
    assert fault(healed, "cut", "node1", "node2")
    assert not fault(healed, "cut", "node2", "node1")
    assert faults(healed) == {"node1": ["cut node2"], "node2": ["cut node1"]}
    assert ssh(healed, "node1", ping.format("node2")).strip() == "silent"
    assert ssh(healed, "node2", ping.format("node1")).strip() == "silent"
    assert ssh(healed, "node1", ping.format("registry")).strip() == "answers"
    assert sorted(heal(healed)) == ["node1: cut node2", "node2: cut node1"]
    assert ssh(healed, "node1", ping.format("node2")).strip() == "answers"
    assert faults(healed) == {}


def test_healing_one_node_leaves_the_faults_of_others(healed):
    fault(healed, "cut", "node1", "node2")
    fault(healed, "slow", "node1", "1gbit")
    heal(healed, "node2")
    assert faults(healed) == {"node1": ["slow 1gbit"]}


def test_a_slow_link_is_slow(healed):
    def seconds() -> float:
        started = time.monotonic()
        ssh(healed, "node1", "head -c 3000000 /dev/zero")
        return time.monotonic() - started

    # 24 megabits at 8 a second.
    assert fault(healed, "slow", "node1", "8mbit")
    assert not fault(healed, "slow", "node1", "8mbit")
    assert seconds() > 2.5
    assert heal(healed) == ["node1: slow 8mbit"]
    assert min(seconds() for _ in range(3)) < 2


def test_lost_packets_are_some_not_all(healed):
    assert fault(healed, "lose", "node1", "node2", "50")
    shown = ssh(healed, "node1", "sudo ping -q -c 40 -i 0.01 -W 1 node2 || true")
    received = int(shown.partition(" received")[0].rpartition(" ")[2])
    assert 0 < received < 40


def test_a_node_without_power_is_gone_and_comes_back(healed):
    assert fault(healed, "stop", "node2")
    assert not fault(healed, "stop", "node2")
    assert status(healed)["node2"]["state"] == "exited"
    refused = healed.call("fault", "cut", "node1", "node2", "--name", healed.name)
    assert refused.returncode == 2
    assert "heal" in refused.stderr
    assert heal(healed) == ["node2: stop"]
    assert ssh(healed, "node2", "hostname").strip() == "node2"


def test_a_killed_rank_dies_wherever_it_runs(healed):
    # A rank as a role would start it, but without an image: the node's own files, seen through an overlay.
    healed.sh(
        "node2",
        "apt-get install -y -qq --no-install-recommends podman runc >/dev/null 2>&1;"
        " podman run --detach --name nim-demo-0-1 --network host --rootfs /:O sleep 600 2>/dev/null",
    )
    pid = healed.sh("node2", "podman inspect --format '{{.State.Pid}}' nim-demo-0-1").strip()
    assert fault(healed, "kill-rank", "demo-0-1")
    assert healed.sh("node2", f"test -e /proc/{pid} && echo there || echo gone").strip() == "gone"
    nobody = healed.call("fault", "kill-rank", "demo-0-7", "--name", healed.name)
    assert nobody.returncode == 1
    assert "nim-demo-0-7" in nobody.stderr


@pytest.mark.parametrize(
    ("line", "seconds", "how"),
    [
        ("network", 0, signal.SIGKILL),
        ("starting", 0, signal.SIGKILL),
        ("starting", 0.3, signal.SIGKILL),
        ("starting", 0.8, signal.SIGKILL),
        ("starting", 1.6, signal.SIGKILL),
        ("starting", 0.2, signal.SIGINT),
        ("starting", 1.2, signal.SIGINT),
    ],
)
def test_an_interrupted_start_leaves_nothing(tmp_path, line, seconds, how):
    before, files = everything(), temporary()
    name = f"e2e-cut-{uuid.uuid4().hex[:4]}"
    inventory = tmp_path / "inventory"
    command = [NIMCTL, "lab", "up", "--nodes", "2", "--name", name, "--inventory", inventory]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as starting:
        assert any(said.startswith(f"lab: {line}") for said in starting.stderr)
        time.sleep(seconds)
        if how == signal.SIGINT:
            # As a terminal does: everybody in the foreground gets it.
            os.killpg(starting.pid, how)
        else:
            starting.send_signal(how)
        code = starting.wait(30)
    assert code == (130 if how == signal.SIGINT else -how)
    subprocess.run([NIMCTL, "lab", "down", "--name", name, "--inventory", inventory], check=True, timeout=200)
    assert everything() - before == set()
    assert temporary() - files == set()
    assert not inventory.exists()


def test_down_leaves_nothing_and_keeps_what_somebody_wrote(tmp_path):
    before = everything()
    name = f"e2e-cut-{uuid.uuid4().hex[:4]}"
    up_and_down = ["--name", name, "--inventory", str(tmp_path / "lab")]
    subprocess.run([NIMCTL, "lab", "up", "--nodes", "1", *up_and_down], check=True, capture_output=True)
    file = tmp_path / "lab" / "cluster.yml"
    file.write_text(file.read_text() + "# mine\n")
    done = subprocess.run(
        [NIMCTL, "lab", "down", *up_and_down, "--format", "json"], check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["kept"] == [str(file)]
    assert everything() - before == set()
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["cluster.yml"]
    again = subprocess.run([NIMCTL, "lab", "down", *up_and_down], check=True, capture_output=True, text=True)
    assert "nothing" in again.stderr


def test_requests_that_no_lab_can_fulfil_touch_nothing(tmp_path):
    before = everything()
    for options in (
        ["--nodes", "9"],
        ["--subnet", "nonsense"],
        ["--container-engine", "rkt"],
        ["--gpus", "9"],
    ):
        refused = subprocess.run(
            [NIMCTL, "lab", "up", "--name", "e2e-cut", "--inventory", str(tmp_path / "lab"), *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 2, refused.stderr
        assert options[1] in refused.stderr
    assert everything() == before
    assert not (tmp_path / "lab").exists()
