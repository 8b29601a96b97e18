"""Faults: what goes wrong in a real cluster, made on purpose, checked to be in force, and healed completely.

Nothing is remembered: which faults are in force is read from the nodes, so that a fault which ended by
itself (a node that restarted lost its packet filter) is never reported as one that lasts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nimctl.errors import NimctlError, RejectedError
from nimctl.lab import inside, vm
from nimctl.lab.command import CommandError, run
from nimctl.lab.containers import Container, Containers
from nimctl.lab.inside import Inside
from nimctl.lab.names import Names

_TABLE = "nimctl_lab"
_INTERFACE = "eth0"
_MARK = re.compile(r'comment "lab: ([^"]+)"')
_RATE = re.compile(r"([1-9][0-9]{0,5})(kbit|mbit|gbit)")
_UNIT = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_RANK = re.compile(r"[a-z][a-z0-9-]*-[0-9]+-[0-9]+")
_HEAL_SECONDS = 60

_PROBE = f"nft list table inet {_TABLE} 2>/dev/null; echo; tc -j qdisc show dev {_INTERFACE}"

# Each hook before every other filter, and for traffic of containers that have networks of their own.
_CHAINS = "".join(
    f"add chain inet {_TABLE} {hook} {{ type filter hook {hook} priority -400; }}\n"
    for hook in ("input", "output", "forward")
)

_FIND_RANK = """\
for engine in podman docker; do
  if command -v $engine >/dev/null; then
    pid=$($engine inspect --format '{{.State.Pid}}' nim-%s 2>/dev/null) || continue
    [ "$pid" -gt 0 ] && echo "$pid" && break
  fi
done
"""

_KILL = """\
before=$(cut -d' ' -f22 /proc/%(pid)s/stat)
kill -9 %(pid)s
for _ in $(seq 50); do
  [ "$(cut -d' ' -f22 /proc/%(pid)s/stat 2>/dev/null)" = "$before" ] || exit 0
  sleep 0.1
done
echo 'process %(pid)s is still there 5 s after SIGKILL' >&2
exit 1
"""

# What was given up on, because it was killed too often, gets another chance.
_RESTART = """\
failed=$(systemctl list-units --all --no-legend --plain --state=failed 'nim-*.service' | cut -d' ' -f1)
for unit in $failed; do
  rank=${unit#nim-}
  if [ -e "/etc/systemd/system/nimctl-supervise-$rank" ]; then
    grep -qs '"state": "failed"' /var/lib/nimctl/*/replicas/"${rank%.service}.json" &&
      systemctl restart --no-block "nimctl-supervise-$rank"
  else
    systemctl reset-failed "$unit" && systemctl start --no-block "$unit"
  fi
done
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the fault, and whether it was in force before."""

    fault: str
    changed: bool

    def as_json(self) -> dict[str, object]:
        """The documented JSON shape."""
        return {
            "fault": self.fault,
            "changed": self.changed,
            "in_force": not self.fault.startswith("kill-rank"),
        }


@dataclass(frozen=True, slots=True)
class Field:
    """The lab that faults are made in."""

    engine: Containers
    names: Names
    lab: Inside

    def again(self) -> Field:
        """The same lab, looked at anew."""
        return Field(self.engine, self.names, inside.look(self.engine, self.names))

    def node(self, name: str, running: bool = True) -> Container:
        """A node of the lab.

        Raises:
            RejectedError: there is no such node, or it has to run and does not.
        """
        container = self.lab.nodes.get(name)
        if container is None:
            raise RejectedError(f"There is no node {name} in this lab: {', '.join(self.lab.nodes)}.")
        if running and not container.running:
            raise RejectedError(
                f"{name} does not run ({container.state}): "
                f"`nimctl lab heal --name {self.names.lab}` starts it."
            )
        return container

    def sh(self, container: Container, script: str) -> str:
        """Run a shell script as root on a node; its standard output.

        Raises:
            CommandError: it failed.
        """
        if inside.driver_of(container) == "vm":
            entry = vm.ssh(Path(self.lab.inventory or "") / ".lab", container.labels[inside.ADDRESS])
            return run((*entry, "sh", "-s"), data=script.encode(), timeout=120).stdout
        done = self.engine("exec", "--interactive", container.name, "sh", "-s", data=script.encode())
        return done.stdout

    def in_force(self) -> dict[str, tuple[str, ...]]:
        """The faults in force, by node."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            return dict(zip(self.lab.nodes, pool.map(self._on, self.lab.nodes), strict=True))

    def _on(self, name: str) -> tuple[str, ...]:
        container = self.lab.nodes[name]
        if container.state == "paused":
            return ("freeze",)
        if not container.running:
            return ("stop",)
        return read_faults(self.sh(container, _PROBE))


def read_faults(probe: str) -> tuple[str, ...]:
    """The faults that a node's packet filter and queue show, each as it was asked for, without the node."""
    table, _, queues = probe.rpartition("\n[")
    found = list(dict.fromkeys(_MARK.findall(table)))
    for queue in json.loads(f"[{queues}") if queues else []:
        if queue.get("kind") == "tbf":
            found.append(f"slow {show_rate(8 * int(queue['options']['rate']))}")
    return tuple(found)


def parse_rate(text: str) -> int:
    """Bits per second.

    Raises:
        RejectedError: not a rate.
    """
    match = _RATE.fullmatch(text)
    if not match:
        raise RejectedError(f"{text}: not a rate. Write it like 200mbit; units are kbit, mbit and gbit.")
    return int(match[1]) * _UNIT[match[2]]


def show_rate(bits: int) -> str:
    """A rate as ``parse_rate`` reads it."""
    for unit in ("gbit", "mbit"):
        if bits % _UNIT[unit] == 0:
            return f"{bits // _UNIT[unit]}{unit}"
    return f"{bits // 1000}kbit"


def stop(field: Field, name: str) -> Outcome:
    """Take a node's power away: no process in it gets a chance to say good-bye."""
    container = field.node(name, running=False)
    if container.running:
        field.engine("stop", "--time=0", container.name)
        _require(not field.again().lab.nodes[name].running, f"{name} still runs after its power was cut.")
    return Outcome(f"stop {name}", container.running)


def freeze(field: Field, name: str) -> Outcome:
    """Let a node stand still as it is: its connections stay open and nobody answers on them."""
    container = field.node(name, running=False)
    frozen = container.state == "paused"
    if not frozen:
        field.node(name)
        field.engine("pause", container.name)
        _require(field.again().lab.nodes[name].state == "paused", f"{name} was not frozen.")
    return Outcome(f"freeze {name}", not frozen)


def cut(field: Field, one: str, other: str) -> Outcome:
    """Drop every packet between two nodes, also of connections that exist."""
    return _filter(field, one, other, "cut", "")


def lose(field: Field, one: str, other: str, percent: int) -> Outcome:
    """Drop a share of the packets between two nodes, at random."""
    if not 1 <= percent <= 99:
        raise RejectedError(f"{percent}: a share of 1 to 99 percent. All of it is `cut`.")
    return _filter(field, one, other, f"lose {percent}%", f"numgen random mod 100 < {percent} ")


def slow(field: Field, name: str, rate: str) -> Outcome:
    """Limit what a node sends, to everybody."""
    container, bits = field.node(name), parse_rate(rate)
    fault = f"slow {show_rate(bits)}"
    before = read_faults(field.sh(container, _PROBE))
    if fault not in before:
        burst = max(bits // 8 // 250, 5000)
        field.sh(
            container,
            f"tc qdisc replace dev {_INTERFACE} root tbf rate {bits}bit burst {burst} latency 400ms",
        )
        after = read_faults(field.sh(container, _PROBE))
        _require(fault in after, f"{name} did not take the limit: {', '.join(after) or 'no fault in force'}.")
    return Outcome(f"slow {name} {show_rate(bits)}", fault not in before)


def kill_rank(field: Field, rank: str) -> Outcome:
    """Kill the first process of a rank's container with SIGKILL, wherever the rank runs."""
    if not _RANK.fullmatch(rank):
        raise RejectedError(f"{rank}: a rank is named DEPLOYMENT-REPLICA-RANK, for example demo-0-1.")
    for container in field.lab.nodes.values():
        if container.running and (pid := field.sh(container, _FIND_RANK % rank).strip()):
            field.sh(container, _KILL % {"pid": int(pid)})
            return Outcome(f"kill-rank {rank}", True)
    raise NimctlError(f"No node of the lab runs a container nim-{rank}, so there is nothing to kill.")


def heal(field: Field, only: Sequence[str] = ()) -> list[str]:
    """End faults: start nodes, let all packets through, restart ranks that systemd gave up on.

    Args:
        field: The lab.
        only: Nodes to heal; all where empty.

    Returns:
        What was healed.

    Raises:
        NimctlError: something is still wrong afterwards.
    """
    names = list(only) or list(field.lab.nodes)
    for name in names:
        field.node(name, running=False)
    before = field.in_force()
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda name: _heal(field, name), names))
        if only:
            list(pool.map(lambda name: _let_through(field, name, names), set(field.lab.nodes) - set(names)))
    left = {name: faults for name, faults in field.again().in_force().items() if name in names and faults}
    _require(not left, f"Still in force: {left}.")
    return [f"{name}: {fault}" for name in names for fault in before[name]]


def _filter(field: Field, one: str, other: str, fault: str, condition: str) -> Outcome:
    """Drop packets between two nodes that meet a condition; on both, so that neither has to be trusted."""
    if one == other:
        raise RejectedError(f"{one} and {other} are the same node.")
    pair = {one: field.node(one), other: field.node(other)}
    with ThreadPoolExecutor(max_workers=2) as pool:
        sides = ((one, other), (other, one))
        jobs = [pool.submit(_drop, field, pair[name], pair[peer], fault, condition) for name, peer in sides]
        changes = [job.result() for job in jobs]
    changed = any(changes)
    if fault == "cut" and changed:
        address = pair[other].labels[inside.ADDRESS]
        answer = field.sh(pair[one], f"ping -c 1 -W 1 {address} >/dev/null && echo answered; true")
        _require("answered" not in answer, f"{other} still answers {one}.")
    kind, _, share = fault.partition(" ")
    return Outcome(" ".join(filter(None, (kind, one, other, share))), changed)


def _drop(field: Field, node: Container, peer: Container, fault: str, condition: str) -> bool:
    """Make one node drop packets from and to a peer; says whether it did not before."""
    mark = f"{fault} {peer.labels[inside.NODE]}"
    if mark in read_faults(field.sh(node, _PROBE)):
        return False
    address = peer.labels[inside.ADDRESS]
    rules = "".join(
        f'add rule inet {_TABLE} {hook} ip {side} {address} {condition}drop comment "lab: {mark}"\n'
        for hook, side in (
            ("input", "saddr"),
            ("output", "daddr"),
            ("forward", "saddr"),
            ("forward", "daddr"),
        )
    )
    script = f"nft -f - <<'END' || exit 1\nadd table inet {_TABLE}\n{_CHAINS}{rules}END\n{_PROBE}\n"
    _require(
        mark in read_faults(field.sh(node, script)), f"{node.name} does not drop packets as it was told."
    )
    return True


def _heal(field: Field, name: str) -> None:
    container = field.lab.nodes[name]
    if container.state == "paused":
        field.engine("unpause", container.name)
    elif not container.running:
        field.engine("start", container.name)
        _await_boot(field, container)
    field.sh(
        container,
        f"nft delete table inet {_TABLE} 2>/dev/null\n"
        f"tc qdisc del dev {_INTERFACE} root 2>/dev/null\n{_RESTART}true\n",
    )


def _let_through(field: Field, name: str, peers: Sequence[str]) -> None:
    """Remove what a node drops of some peers and keep the rest."""
    container = field.lab.nodes[name]
    if not container.running:
        return
    listing = field.sh(container, f"nft -a list table inet {_TABLE} 2>/dev/null; true")
    deletions, chain = "", ""
    for line in listing.splitlines():
        if line.strip().startswith("chain "):
            chain = line.split()[1]
        elif (mark := _MARK.search(line)) and mark[1].rpartition(" ")[2] in peers:
            deletions += f"delete rule inet {_TABLE} {chain} handle {line.rpartition('handle ')[2].strip()}\n"
    if deletions:
        field.sh(container, f"nft -f - <<'END'\n{deletions}END\n")


def _await_boot(field: Field, container: Container) -> None:
    """Wait until systemd has started everything.

    Raises:
        NimctlError: it has not within a minute, a virtual machine within some.
    """
    deadline = time.monotonic() + (vm.SECONDS if inside.driver_of(container) == "vm" else _HEAL_SECONDS)
    while True:
        try:
            state = field.sh(container, "systemctl is-system-running; true").strip()
        except CommandError as error:
            state = error.output.strip()
        if state in ("running", "degraded"):
            return
        if time.monotonic() > deadline:
            raise NimctlError(f"{container.name} was started but does not come up: {state}")
        time.sleep(0.2)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NimctlError(message)
