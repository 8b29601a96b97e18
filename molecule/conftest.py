"""Spoil what a role manages, a part of it at a time, and see that the next run repairs exactly that.

What there is to spoil is read from the node itself: from the records of what was put there, and from the
units of ranks. What a role starts to manage is spoiled by these tests without a word here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

ROOT = Path(__file__).parents[1]
RECORDS = "/var/lib/nimctl"
TASK = re.compile(r"^TASK \[(?:.+ : )?(.+?)\] \*")
CHANGED = re.compile(r"^changed: \[(\S+?)\]")

SERVICE = "Run the service with its configuration"
DEFINE = "Define the ranks, and remove those that are no longer wanted"
RESTART = {"Stop the replicas that have to restart", "Start the leaders", "Start the workers"}
FIREWALL = "Close the ports of ranks to all but the cluster"
KINDS = {
    "cdi_spec": ("cdi",),
    "folders": ("folders_of_roles",),
    "json_merge": ("json",),
    "kernel_command_line": ("boot",),
    "kernel_modules": ("modules",),
    "kernel_settings": ("sysctls",),
    "managed_files": ("files",),
    "packages": ("packages", "holds"),
    "units": ("units",),
}
"""Modules that keep records, and where below RECORDS they do."""
TURNS = 3
"""Runs over which the things of one record are spread; as many as there are ways in FILES."""
FILES = ("echo '# changed' >> {}", "chmod 0666 {}", "rm {}")
UNITS = (
    "sed -i s/^Description=.*/Description=x/ /etc/systemd/system/{}",
    "systemctl disable --quiet {}",
    "rm /etc/systemd/system/{} && systemctl daemon-reload",
)
POP = """import json
path = {path!r}
document = json.load(open(path))
*above, key = {leaf!r}
place = document
for part in above:
    place = place[part]
del place[key]
json.dump(document, open(path, "w"))
"""
STATE = r"""
find /etc /var/run/cdi -xdev '(' -type f -o -type l ')' -not -name ld.so.cache 2>/dev/null |
  sort | while read -r file; do stat -c '%a %u %g %n' "$file"; done
find /etc /var/run/cdi -xdev -type f -not -name ld.so.cache -print0 2>/dev/null | sort -z | xargs -0 sha256sum
dpkg-query -W -f '${Package} ${db:Status-Abbrev} ${Version}\n'
[ ! -x /usr/sbin/dkms ] || dkms status | sort
[ ! -x /usr/sbin/nft ] || nft --stateless list ruleset
systemctl list-units --all --no-legend --plain 'nim*' docker.service models.mount | awk '{print $1, $3}'
sed -n 's/^\([a-z][^ ]*\) = .*/\1/p' /etc/sysctl.d/*nimctl* 2>/dev/null | xargs -r sysctl
python3 - <<'END'
import glob, json, os
for path in sorted(glob.glob("/var/lib/nimctl/folders*/*.json")):
    for folder in json.load(open(path))["folders"]:
        found = os.stat(folder)
        print(folder, oct(found.st_mode), found.st_uid)
END
"""
CONTAINERS = "for engine in podman docker; do $engine ps -q --no-trunc 2>/dev/null | sort; done; true"


@dataclass(frozen=True)
class Change:
    """One change to a node and the tasks that repair it: on this node, or ``everywhere`` all together.

    ``record`` says which other changes are of the same kind and owner.
    """

    record: str
    command: str
    repaired_by: frozenset[str]
    everywhere: bool = False
    perhaps: frozenset[str] = frozenset()
    """Tasks that change something as well where a service had read what was spoiled."""


def recorded() -> dict[str, str]:
    """The task that repairs what is in a record, by kind and owner, as the roles have them."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.glob("roles/*/tasks/*.yml"), key=lambda path: path.name != "managed.yml"):
        if path.name.startswith("remove"):
            continue
        for task in yaml.safe_load(path.read_text()) or []:
            for module, arguments in modules_of(task):
                if arguments.get("state") != "absent":
                    place = arguments["path"].replace("/", "-") if module == "json_merge" else ""
                    for kind in KINDS.get(module, ()):
                        found.setdefault(f"{kind}/{arguments['owner']}{place}", task["name"])
    return found


def modules_of(task: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of a task with their arguments: its own, or those that are parts of a layer."""
    for key, arguments in task.items():
        module = key.removeprefix("nimctl.multinode.")
        if module == key or not isinstance(arguments, dict):
            continue
        if module != "layer":
            yield module, arguments
            continue
        for part in arguments["parts"]:
            for name, given in part.items():
                yield name, {"owner": arguments["owner"], **given}


RECORDED = recorded()


class Node:
    """A node on which everything runs as root."""

    def __init__(self, host) -> None:
        self.host = host
        self.name = host.backend.get_hostname()

    def sh(self, script: str) -> str:
        """Run a script that has to succeed; its output."""
        with self.host.sudo():
            return self.host.check_output("sh -c %s", script)

    def changes(self) -> list[Change]:
        """Everything that is managed here, each with a way to spoil it."""
        return [*self._recorded(), *self._ranks(), *self._service()]

    def _recorded(self) -> Iterator[Change]:
        for path in self.sh(f"find {RECORDS} -mindepth 2 -name '*.json' | sort").split():
            kind = str(Path(path).relative_to(RECORDS).with_suffix(""))
            yield from self._of_record(kind, json.loads(self.sh(f"cat {path}")))

    def _of_record(self, kind: str, record: dict[str, Any]) -> Iterator[Change]:
        module, owner = kind.split("/", 1)
        by = frozenset({FIREWALL if owner.startswith("firewall_") else RECORDED.get(kind, DEFINE)})
        units = frozenset({RECORDED[units]} if (units := f"units/{owner}") in RECORDED else ())
        files = cycle(FILES)
        if module == "repositories":
            # Whichever of its users comes first repairs it. A key is compared by its fingerprint.
            users = json.loads(self.sh(f"cat {RECORDS}/repository_users/{owner}.json"))["owners"]
            tasks = frozenset(RECORDED[f"packages/{user}"] for user in users)
            must = tasks if len(tasks) == 1 else frozenset()
            for file in record["files"]:
                yield Change(kind, f"rm {file}", must, perhaps=tasks)
            return
        for file in record.get("files", []):
            yield Change(kind, next(files).format(file), by, perhaps=units)
        for name in record.get("held", []):
            yield Change(f"{kind} held", f"apt-mark unhold {name}", by)
        for name in record.get("names", []):
            service = self.sh(f"dpkg -L {name} | grep -c '/docker.service$' || true") != "0"
            command = f"dpkg --remove --force-depends --force-hold {name}"
            yield Change(kind, command, by | ({SERVICE} if service else set()), perhaps=units)
        for leaf in record.get("leaves", []):
            place = f"/{owner.partition('-')[2].replace('-', '/')}"
            script = POP.format(path=place, leaf=leaf["path"])
            yield Change(kind, f"python3 - <<'END'\n{script}END", by)
        former = record.get("former", {})
        if module == "sysctls":
            for key, value in former.items():
                if value != record["set"][key]:
                    yield Change(kind, f"sysctl --quiet --write {key}={value!r}", by)
        if module == "units":
            for unit, was in former.items():
                if was.get("enabled") is False:
                    yield Change(kind, f"systemctl disable --quiet {unit}", by)
                if was.get("active") is False and self.host.service(unit).is_running:
                    yield Change(kind, f"systemctl stop {unit}", by)
        if module == "cdi":
            yield Change(kind, "rm /var/run/cdi/nvidia.yaml", by)
        if module == "folders":
            for folder in record["folders"]:
                yield Change(kind, f"chown 4711 {folder}", by)
        if module == "folders_of_roles":
            yield from self._folders(kind, record["folders"], by)

    def _folders(self, kind: str, folders: list[str], by: frozenset[str]) -> Iterator[Change]:
        """Those that were wanted, not those made on the way to them, nor what is mounted over them."""
        mounts = self.sh("sed -n 's/^Where=//p' /etc/systemd/system/*.mount 2>/dev/null || true").split()
        for folder in folders:
            if folder not in mounts and not any(other.startswith(f"{folder}/") for other in folders):
                yield Change(kind, f"chown 4711 {folder}", by)
                yield Change(kind, f"chmod 0700 {folder}", by)

    def _ranks(self) -> Iterator[Change]:
        define = frozenset({DEFINE})
        files = cycle(FILES)
        for path in self.sh("find /etc/nimctl -type f 2>/dev/null | sort").split():
            yield Change("ranks", next(files).format(path), define)
        for path in self.sh("find /etc/systemd/system -maxdepth 1 -name 'nim-*.service' | sort").split():
            unit = Path(path).name
            for way in UNITS:
                yield Change("ranks", way.format(unit), define)
            yield Change("ranks", f"systemctl stop {unit}", frozenset(RESTART), everywhere=True)

    def _service(self) -> Iterator[Change]:
        if self.host.exists("docker"):
            for command in (
                "systemctl stop docker.socket docker.service",
                "systemctl disable --quiet docker.service",
            ):
                yield Change("service", command, frozenset({SERVICE}))


class Cluster:
    """The nodes of the lab, with a playbook that makes them as they have to be."""

    def __init__(self, playbook: str) -> None:
        self.inventory = os.environ["NIMCTL_MOLECULE_INVENTORY"]
        self.playbook = playbook
        self.ran: set[str] = set()
        hosts = testinfra.get_hosts(["ansible://nim_nodes"], ansible_inventory=self.inventory)
        self.nodes = {node.name: node for node in map(Node, hosts)}

    def run(self) -> dict[str, set[str]]:
        """Run the playbook; the tasks that changed something, by node. What ran at all is in ``ran``."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", self.inventory, self.playbook],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        found: dict[str, set[str]] = {name: set() for name in self.nodes}
        task = ""
        for line in done.stdout.splitlines():
            if match := TASK.match(line):
                task = match[1]
                self.ran.add(task)
            elif (match := CHANGED.match(line)) and match[1] in found:
                found[match[1]].add(task)
        return found

    def on_all(self, script: str) -> dict[str, str]:
        """What a script prints on each node."""
        return {name: node.sh(script) for name, node in self.nodes.items()}

    def turns(self) -> Iterator[dict[str, list[Change]]]:
        """What is spoiled at once, by node: a part of each record; what concerns all nodes comes alone."""
        changes = {
            # A node may have more than the playbook looks after, such as what a scenario prepares.
            name: [each for each in node.changes() if each.repaired_by <= self.ran]
            for name, node in self.nodes.items()
        }
        assert any(changes.values())
        for turn in range(TURNS):
            yield {name: list(part(each, turn)) for name, each in changes.items()}
        for name, each in changes.items():
            for change in each:
                if change.everywhere:
                    yield {name: [change]}

    def spoil_and_repair(self) -> None:
        """Spoil everything in turn; after each run all is as it was, and nothing else was touched."""
        nothing: dict[str, set[str]] = {name: set() for name in self.nodes}
        assert self.run() == nothing
        before = self.on_all(STATE)
        for turn in list(filter(lambda turn: any(turn.values()), self.turns())):
            containers = self.on_all(CONTAINERS)
            for name, spoiled in turn.items():
                for change in spoiled:
                    self.nodes[name].sh(change.command)
            said = {name: [change.command for change in spoiled] for name, spoiled in turn.items()}
            repaired = self.run()
            if any(change.everywhere for spoiled in turn.values() for change in spoiled):
                ((change,),) = turn.values()
                assert set.union(*repaired.values()) == set(change.repaired_by), said
            else:
                for name, tasks in repaired.items():
                    spoiled = turn.get(name, [])
                    must = frozenset().union(*(change.repaired_by for change in spoiled))
                    may = must.union(*(change.perhaps for change in spoiled))
                    assert must <= tasks, (name, must - tasks, said)
                    assert tasks <= may, (name, tasks - may, said)
                assert self.on_all(CONTAINERS) == containers, f"{said}: a rank was restarted"
            for name, text in self.on_all(STATE).items():
                assert differences(before[name], text) == [], (name, said)


def part(changes: list[Change], turn: int) -> Iterator[Change]:
    """Every TURNS-th change of each record, beginning with another one in each turn."""
    seen: Counter[str] = Counter()
    for change in changes:
        if not change.everywhere:
            if seen[change.record] % TURNS == turn:
                yield change
            seen[change.record] += 1


def differences(before: str, after: str) -> list[str]:
    """Lines that are in one of two texts and not in the other."""
    found = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in found if line.startswith(("+", "-"))][2:]


@pytest.fixture
def cluster():
    """Make a Cluster for a playbook."""
    return Cluster
