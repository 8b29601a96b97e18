"""How long the inventory of a large cluster takes, beside the same inventory as a static YAML file.

A description of 10,000 nodes with 1,250 replicas of 8 nodes each (or --nodes N). Claimed, and exit code 1
where it is missed: `ansible-inventory --list` through our plugin takes no longer than on the static file, and
`nimctl inventory` at most a tenth of that. The three are measured one after the other in one run, each the
best of --repeat. Times are the processes' own CPU time (user and system), because wall time on a busy machine
measures the others; wall time is printed beside it. With 10,000 nodes the static file alone takes minutes.

    .venv/bin/python benchmarks/inventory.py [--nodes 10000] [--repeat 1]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = ROOT / ".venv" / "bin"
PER_REPLICA = 8
MOST_OF_STATIC = {"ansible-inventory, our plugin": 1.0, "nimctl inventory": 0.1}


@dataclass(frozen=True)
class Cost:
    """One command: CPU and wall seconds."""

    cpu: float
    wall: float


def description(nodes: int) -> str:
    """A cluster of so many nodes, 250 to a network, that one deployment fills."""
    if nodes % (PER_REPLICA * 250):
        sys.exit(f"--nodes must be a multiple of {PER_REPLICA * 250}")
    return f"""\
plugin: nimctl.multinode.cluster
name: large
connection: {{user: ubuntu}}
nodes:
  - hosts: "gpu[00001-{nodes:05d}]"
    addresses: "10.2.[0-{nodes // 250 - 1}].[1-250]"
    gpu: {{model: h100-sxm, count: 8}}
    fabric:
      kind: infiniband
      rate: ndr
      interface: ib0
      addresses: "10.3.[0-{nodes // 250 - 1}].[1-250]"
      hcas: [mlx5_0, mlx5_3, mlx5_4, mlx5_5, mlx5_6, mlx5_9, mlx5_10, mlx5_11]
storage:
  - {{kind: existing, mount: /models}}
deployments:
  - name: r1
    model: deepseek-ai/deepseek-r1
    engine: nim
    contract: nim1-env
    image: nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3
    weights: {{source: ngc, path: /models/r1}}
    replicas: {nodes // PER_REPLICA}
    parallel: {{tensor: 8, pipeline: {PER_REPLICA}}}
secrets:
  ngc_api_key: {{env: NGC_API_KEY}}
"""


def measure(what: str, command: list[str | Path], output: Path, repeat: int) -> Cost:
    """Run a command, its output into a file; the best of the repetitions."""
    best: Cost | None = None
    for number in range(repeat):
        print(f"  {what} ({number + 1}/{repeat}) ...", end="", flush=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        with output.open("wb") as file:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.PIPE,
                check=False,
                env=os.environ,
            )
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"\n{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr.decode()}")
        cost = Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)
        print(f" {cost.cpu:.1f} s CPU, {cost.wall:.1f} s wall", flush=True)
        best = cost if best is None or cost.cpu < best.cpu else best
    assert best is not None
    return best


def same(first: Path, second: Path) -> bool:
    """Whether two outputs of `ansible-inventory --list` name the same groups, hosts and variables."""

    def sorted_lists(content: dict[str, object]) -> dict[str, object]:
        return {key: sorted(value) if isinstance(value, list) else value for key, value in content.items()}

    one, two = (json.loads(file.read_text(encoding="utf-8")) for file in (first, second))
    return {name: sorted_lists(content) for name, content in one.items()} == {
        name: sorted_lists(content) for name, content in two.items()
    }


def main() -> None:
    """Measure all three and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=10_000, help="nodes of the cluster, a multiple of 2000")
    parser.add_argument("--repeat", type=int, default=1, help="how often each is measured; the best counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nimctl-bench-") as name:
        folder = Path(name)
        described, static = folder / "described", folder / "static"
        described.mkdir()
        static.mkdir()
        (described / "cluster.yml").write_text(description(arguments.nodes), encoding="utf-8")
        print(f"{arguments.nodes:,} nodes, {arguments.nodes // PER_REPLICA:,} replicas")
        ours = measure(
            "nimctl inventory",
            [BIN / "nimctl", "inventory", "-i", described],
            static / "hosts.yml",
            arguments.repeat,
        )
        lists = {name: folder / f"{name}.json" for name in ("static", "described")}
        command = [BIN / "ansible-inventory", "--list", "-i"]
        baseline = measure("static YAML", [*command, static / "hosts.yml"], lists["static"], arguments.repeat)
        plugin = measure("our plugin", [*command, described], lists["described"], arguments.repeat)
        if not same(lists["static"], lists["described"]):
            sys.exit(
                "the plugin and the static file gave different inventories, so there is nothing to compare"
            )
    print(f"\n{'':34}{'CPU s':>8}{'wall s':>8}{'of static':>11}{'at most':>9}")
    print(f"{'ansible-inventory, static YAML':34}{baseline.cpu:8.1f}{baseline.wall:8.1f}{1:11.2f}")
    missed = False
    for what, cost in (("ansible-inventory, our plugin", plugin), ("nimctl inventory", ours)):
        most = MOST_OF_STATIC[what]
        ratio = cost.cpu / baseline.cpu
        missed = missed or ratio > most
        verdict = "  MISSED" if ratio > most else ""
        print(f"{what:34}{cost.cpu:8.1f}{cost.wall:8.1f}{ratio:11.2f}{most:9.2f}{verdict}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
