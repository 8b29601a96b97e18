"""How many tasks a converged run executes on each node, and how long it takes beside a ping.

For labs of 2, 4 and 8 nodes: provision, then run site.yml again with plain ansible-playbook and read
its recap. Exits 1 where a node changed anything, skipped a task, or executed more than 30.

    .venv/bin/python benchmarks/converge.py [--nodes 2 4 8] [--save]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = ROOT / ".venv" / "bin"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
LAB = "bench"
MOST_TASKS = 30
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

    @property
    def passes(self) -> bool:
        """Whether this run keeps what the project claims."""
        return self.executed <= MOST_TASKS and not self.changed and not self.skipped


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


def measure(nodes: int, inventory: Path) -> Row:
    """Provision a lab of that many nodes and measure the run after it."""
    run(BIN / "nimctl", "lab", "up", "--name", LAB, "--nodes", str(nodes), "--inventory", inventory)
    first, _ = run(BIN / "ansible-playbook", "site.yml", "-i", inventory)
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
        "| nodes | tasks per node | changed | skipped | second run, s | ping, s | second run / ping |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.nodes} | {row.executed} | {row.changed} | {row.skipped} | {row.second:.1f} "
        f"| {row.ping:.1f} | {row.second / row.ping:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def save(text: str) -> None:
    """Replace this benchmark's section of RESULTS.md."""
    stamp = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    section = f"## converge.py\n\n{stamp}, {machine}.\n\n{text}\n"
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    kept = re.sub(r"## converge\.py\n.*?(?=\n## |\Z)", "", old, flags=re.DOTALL).rstrip()
    RESULTS.write_text(f"{kept}\n\n{section}")


def main() -> int:
    """Measure each lab size; the exit code is 1 where a claim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="nimctl-bench-") as folder:
        inventory = Path(folder, LAB)
        try:
            for nodes in arguments.nodes:
                rows.append(measure(nodes, inventory))
                print(f"{nodes} nodes: {rows[-1]}", file=sys.stderr)
        finally:
            run(BIN / "nimctl", "lab", "down", "--name", LAB)
    text = table(rows)
    print(text)
    if arguments.save:
        save(text)
    return 0 if all(row.passes for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
