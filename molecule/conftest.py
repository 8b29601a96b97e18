"""Spoil what a role manages, thing by thing, and see that the next run repairs exactly that.

What there is to spoil is read from the node itself: from the records of what was put there, and from the
units of ranks. What a role starts to manage is spoiled by these tests without a word here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, zip_longest
from pathlib import Path

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
KINDS = {
    "json_merge": "json",
    "kernel_command_line": "boot",
    "kernel_modules": "modules",
    "kernel_settings": "sysctls",
    "managed_files": "files",
    "packages": "packages",
    "units": "units",
}
"""Modules that keep a record, and where below RECORDS they do."""
FILES = ("echo '# changed' >> {}", "chmod 0666 {}", "rm {}")
UNITS = (
    "sed -i s/^Description=.*/Description=x/ /etc/systemd/system/{}",
    "systemctl disable --quiet {}",
    "rm /etc/systemd/system/{} && systemctl daemon-reload",
)
POP = """import json
path = "/etc/docker/daemon.json"
document = json.load(open(path))
*above, key = {!r}
place = document
for part in above:
    place = place[part]
del place[key]
json.dump(document, open(path, "w"))
"""
STATE = """
for folder in /etc/nimctl /etc/docker /etc/containers /etc/systemd /etc/sysctl.d /etc/modules-load.d \\
  /etc/modprobe.d /etc/security /etc/apt/preferences.d /etc/default/grub.d; do
  [ ! -d $folder ] || find $folder -type f -o -type l
done | sort |
while read -r file; do stat -c '%a %u %g %n' "$file"; sha256sum < "$file"; done
dpkg-query -W -f '${Package} ${db:Status-Abbrev} ${Version}\\n'
systemctl list-units --all --no-legend --plain 'nim-*' docker.service | awk '{print $1, $3}'
stat -c '%a %u %n' /var/cache/nimctl/* 2>/dev/null || true
"""
CONTAINERS = "for engine in podman docker; do $engine ps -q --no-trunc 2>/dev/null | sort; done; true"


@dataclass(frozen=True)
class Change:
    """One change to a node and the tasks that repair it: on this node, or ``everywhere`` all together."""

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
            for module, kind in KINDS.items():
                arguments = task.get(f"nimctl.multinode.{module}")
                if isinstance(arguments, dict) and arguments.get("state") != "absent":
                    place = arguments["path"].replace("/", "-") if module == "json_merge" else ""
                    found.setdefault(f"{kind}/{arguments['owner']}{place}", task["name"])
    return found


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
        files = cycle(FILES)
        for path in self.sh(f"find {RECORDS} -mindepth 2 -name '*.json' | sort").split():
            record = json.loads(self.sh(f"cat {path}"))
            kind = str(Path(path).relative_to(RECORDS).with_suffix(""))
            by = frozenset({RECORDED.get(kind, DEFINE)})
            units = frozenset({RECORDED[units]} if (units := f"units/{Path(kind).name}") in RECORDED else ())
            for file in record.get("files", []):
                yield Change(next(files).format(file), by, perhaps=units)
            if kind.startswith("sysctls/"):
                for key, former in record.get("former", {}).items():
                    if former != record["set"][key]:
                        yield Change(f"sysctl --quiet --write {key}={former!r}", by)
            if kind.startswith("units/"):
                for unit, former in record.get("former", {}).items():
                    if former.get("enabled") is False:
                        yield Change(f"systemctl disable --quiet {unit}", by)
            for package in record.get("names", []):
                service = self.sh(f"dpkg -L {package} | grep -c '/docker.service$' || true") != "0"
                yield Change(
                    f"dpkg --remove --force-depends {package}", by | ({SERVICE} if service else set())
                )
            for leaf in record.get("leaves", []):
                yield Change("python3 - <<'END'\n" + POP.format(leaf["path"]) + "END", by)
            if kind.startswith("folders/"):
                for folder in record["folders"]:
                    yield Change(f"chown 4711 {folder}", by)

    def _ranks(self) -> Iterator[Change]:
        define = frozenset({DEFINE})
        files = cycle(FILES)
        for path in self.sh("find /etc/nimctl -type f 2>/dev/null | sort").split():
            yield Change(next(files).format(path), define)
        for path in self.sh("find /etc/systemd/system -maxdepth 1 -name 'nim-*.service' | sort").split():
            unit = Path(path).name
            for way in UNITS:
                yield Change(way.format(unit), define)
            yield Change(f"systemctl stop {unit}", frozenset(RESTART), everywhere=True)

    def _service(self) -> Iterator[Change]:
        if self.host.exists("docker"):
            yield Change("systemctl stop docker.socket docker.service", frozenset({SERVICE}))
            yield Change("systemctl disable --quiet docker.service", frozenset({SERVICE}))


class Cluster:
    """The nodes of the lab, with a playbook that makes them as they have to be."""

    def __init__(self, playbook: str) -> None:
        self.inventory = os.environ["NIMCTL_MOLECULE_INVENTORY"]
        self.playbook = playbook
        hosts = testinfra.get_hosts(["ansible://nim_nodes"], ansible_inventory=self.inventory)
        self.nodes = {node.name: node for node in map(Node, hosts)}

    def run(self) -> dict[str, set[str]]:
        """Run the playbook; the tasks that changed something, by node."""
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
            elif (match := CHANGED.match(line)) and match[1] in found:
                found[match[1]].add(task)
        return found

    def on_all(self, script: str) -> dict[str, str]:
        """What a script prints on each node."""
        return {name: node.sh(script) for name, node in self.nodes.items()}

    def turns(self) -> Iterator[dict[str, Change]]:
        """One change at a time on each node; those that concern all nodes alone."""
        changes = {name: node.changes() for name, node in self.nodes.items()}
        assert all(changes.values())
        own = [[(name, change) for change in each if not change.everywhere] for name, each in changes.items()]
        for turn in zip_longest(*own):
            yield dict(filter(None, turn))
        for name, each in changes.items():
            for change in each:
                if change.everywhere:
                    yield {name: change}

    def spoil_and_repair(self) -> None:
        """Spoil everything in turn; after each run all is as it was, and nothing else was touched."""
        before = self.on_all(STATE)
        turns = list(self.turns())
        for spoiled in turns:
            containers = self.on_all(CONTAINERS)
            for name, change in spoiled.items():
                self.nodes[name].sh(change.command)
            repaired = self.run()
            said = {name: change.command for name, change in spoiled.items()}
            if any(change.everywhere for change in spoiled.values()):
                (change,) = spoiled.values()
                assert set.union(*repaired.values()) == set(change.repaired_by), said
            else:
                for name, tasks in repaired.items():
                    if name not in spoiled:
                        assert tasks == set(), said
                    else:
                        change = spoiled[name]
                        assert change.repaired_by <= tasks <= change.repaired_by | change.perhaps, said
                assert self.on_all(CONTAINERS) == containers, f"{said}: a rank was restarted"
            assert self.on_all(STATE) == before, said
        assert self.run() == {name: set() for name in self.nodes}


@pytest.fixture
def cluster():
    """Make a Cluster for a playbook."""
    return Cluster
