"""What a plan costs to make: process time and memory of one, and of a sweep of all splits of a cluster.

Claimed, and exit code 1 where it is missed: one whole plan in a fresh interpreter, imports included, under
0.3 s of process time and 60 MB; all splits of 1,000 GPUs (125 nodes of eight) under 2 s. The best of --repeat
counts: the work is the same each time, and a busy machine only adds to it. What `nimctl plan` takes as a
command is printed beside it, with `nimctl --version`, which is what typer, rich and pydantic cost before a
verb begins.

    .venv/bin/python benchmarks/planner_speed.py [--repeat 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORDS = ["plan", "--model", "deepseek-ai/deepseek-r1", "--gpu", "h100-sxm", "--nodes", "2", "--fabric", "ndr"]
ONE = """
from nimctl.plan.ask import Options, question
from nimctl.plan.planner import plan
assert plan(question(Options(model="deepseek-ai/deepseek-r1", gpu="h100-sxm", nodes=2, fabric="ndr"))).fits
"""
SWEEP = """
import time
from nimctl.plan.ask import Options, question
from nimctl.plan.choose import choose
start = time.process_time()
options = Options(model="meta/llama-3.1-405b-instruct", gpu="h100-sxm", nodes=125, fabric="ndr")
found = choose(question(options))
print(time.process_time() - start, 1 + len(found.others))
"""


def cost(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak memory in MB of a command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)}: failed")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    nimctl = str(Path(sys.executable).parent / "nimctl")
    found = {}
    for name, command in (
        ("one plan", [sys.executable, "-c", ONE]),
        ("nimctl plan", [nimctl, *WORDS]),
        ("nimctl --version", [nimctl, "--version"]),
    ):
        runs = [cost(command) for _ in range(repeat)]
        found[name] = [min(run[index] for run in runs) for index in range(3)]
        cpu, wall, memory = found[name]
        print(f"{name}: {cpu:.2f} s of process time, {wall:.2f} s, {memory:.0f} MB")
    cpu, _, memory = found["one plan"]
    sweeps = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-c", SWEEP], capture_output=True, text=True, check=True, cwd=ROOT
        )
        seconds, splits = done.stdout.split()
        sweeps.append((float(seconds), int(splits)))
    seconds, splits = min(sweeps)
    print(f"1,000 GPUs: {seconds:.2f} s of process time for {splits} splits that fit")
    if cpu > 0.3 or memory > 60 or seconds > 2:
        sys.exit("missed: 0.3 s and 60 MB for one plan, 2 s for the sweep")


if __name__ == "__main__":
    main()
