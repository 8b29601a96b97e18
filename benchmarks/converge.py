"""How many tasks a converged run executes on each node, and how long it takes beside a ping.

For labs of 2, 4 and 8 nodes: provision, then run site.yml again with plain ansible-playbook and read
its recap. Exits 1 where a node changed anything, skipped a task, or executed more than 30.

    .venv/bin/python benchmarks/converge.py [--nodes 2 4 8] [--every-feature] [--save]

With --every-feature the nodes have the looks of HGX machines, and every layer is managed that a container can
carry (every_feature/); a node may then execute 60 tasks.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from every_feature.description import describe

ROOT = Path(__file__).parent.parent
BIN = ROOT / ".venv" / "bin"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
FIXTURES = ROOT / "tests" / "fixtures"
MOST_TASKS = 30
MOST_TASKS_OF_EVERY_FEATURE = 60
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)\s+skipped=(\d+)")


@dataclass(frozen=True)
class Row:
    """One lab: tasks are per node, the largest of all nodes; times in seconds."""

    nodes: int
    executed: int
    changed: int
    skipped: int
    first: float
    second: float
    ping: float

    def passes(self, most: int) -> bool:
        """Whether this run keeps what the project claims."""
        return self.executed <= most and not self.changed and not self.skipped


def run(*command: str | Path) -> tuple[float, str]:
    """Run a command in the repository; its wall time and output. Exits with its output where it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    took = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return took, done.stdout


def recap(output: str) -> dict[str, tuple[int, int, int]]:
    """The recap of a playbook run: node -> (executed, changed, skipped). localhost is no node."""
    nodes = {}
    for line in output.splitlines():
        match = RECAP.match(line)
        if match and match[1] != "localhost":
            nodes[match[1]] = (int(match[2]), int(match[3]), int(match[6]))
    return nodes


def turn_every_feature_on(inventory: Path, folder: Path) -> None:
    """Give the nodes of a lab hardware and a mirror, and describe all of it. ``folder`` is for files."""
    host, mirror = folder / "host.tar.gz", folder / "mirror.tar.gz"
    run(sys.executable, FIXTURES / "hosts" / "make.py", "pack", "hgx-h100-x8", host)
    run(sys.executable, FIXTURES / "repositories" / "deb_every.py", mirror)
    with tarfile.open(mirror) as archive:
        fingerprint = archive.extractfile("./fingerprint").read().decode().strip()
    describe(inventory, fingerprint)
    given = ("-e", f"bench_host={host}", "-e", f"bench_mirror={mirror}")
    run(BIN / "ansible-playbook", "benchmarks/every_feature/prepare.yml", "-i", inventory, *given)


def measure(lab: str, nodes: int, folder: Path, every_feature: bool) -> Row:
    """Provision a lab of that many nodes and measure the run after it."""
    inventory = folder / lab
    run(BIN / "nimctl", "lab", "up", "--name", lab, "--nodes", str(nodes), "--inventory", inventory)
    if every_feature:
        turn_every_feature_on(inventory, folder)
    first, _ = run(BIN / "ansible-playbook", "site.yml", "-i", inventory)
    if every_feature:
        # The boot that it waits for, to load what goes with the driver.
        run(BIN / "ansible", "nim_nodes", "-i", inventory, "-a", "/usr/local/sbin/lab-hardware")
    second, output = run(BIN / "ansible-playbook", "site.yml", "-i", inventory)
    ping, _ = run(BIN / "ansible", "all", "-i", inventory, "-m", "ansible.builtin.ping")
    hosts = recap(output)
    if len(hosts) != nodes:
        sys.exit(f"expected {nodes} nodes in the recap, found {len(hosts)}:\n{output}")
    executed, changed, skipped = (max(column) for column in zip(*hosts.values(), strict=True))
    return Row(nodes, executed, changed, skipped, first, second, ping)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| nodes | tasks per node | changed | skipped | first run, s | second, s | ping, s | second / ping |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.nodes} | {row.executed} | {row.changed} | {row.skipped} "
        f"| {row.first:.0f} | {row.second:.1f} | {row.ping:.1f} | {row.second / row.ping:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def save(title: str, text: str) -> None:
    """Replace this benchmark's section of RESULTS.md."""
    stamp = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    load = f"load average {os.getloadavg()[2]:.0f} in the last quarter of an hour"
    section = f"## {title}\n\n{stamp}, {machine}, {load}.\n\n{text}\n"
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    kept = re.sub(rf"## {re.escape(title)}\n.*?(?=\n## |\Z)", "", old, flags=re.DOTALL).rstrip()
    RESULTS.write_text(f"{kept}\n\n{section}")


def main() -> int:
    """Measure each lab size; the exit code is 1 where a claim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--lab", default="bench", help="name of the lab, made for this and taken down")
    parser.add_argument("--every-feature", action="store_true", help="manage every layer of the host stack")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="nimctl-bench-") as folder:
        try:
            for nodes in arguments.nodes:
                rows.append(measure(arguments.lab, nodes, Path(folder), arguments.every_feature))
                print(f"{nodes} nodes: {rows[-1]}", file=sys.stderr)
        finally:
            run(BIN / "nimctl", "lab", "down", "--name", arguments.lab)
    text = table(rows)
    print(text)
    if arguments.save:
        save("converge.py --every-feature" if arguments.every_feature else "converge.py", text)
    most = MOST_TASKS_OF_EVERY_FEATURE if arguments.every_feature else MOST_TASKS
    return 0 if all(row.passes(most) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
