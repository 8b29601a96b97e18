#!/usr/bin/env python3
"""Load all GPUs of a node at once and measure them; then all-reduce over the GPUs of one node or of several.

One file for any image that has PyTorch, because hosts have neither it nor nccl-tests:

    python3 burnin.py gpus [--seconds 20]                    # each GPU by itself, all at the same time
    python3 burnin.py all-reduce [--least 8] [--most 8G] [--nodes 2 --node 0 --leader 10.1.0.11:29910]

Prints one JSON object. Rates are in GB/s (10^9 bytes) and TFLOP/s; a copy counts bytes read and written.
Exit code 1 where a GPU gave wrong results or a part could not run, 2 where it was called wrongly.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing

SIDE = 8192
"""Rows and columns of the matrices: enough for the tensor cores to be the limit."""
GIB = 1024**3
COPY_BYTES = 4 * GIB
"""Far more than any cache on the way."""
STALL = timedelta(minutes=5)
SENSORS = (
    "clocks.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.draw",
    "clocks_event_reasons.active",
    "ecc.errors.uncorrected.volatile.total",
)
"""Fields of ``nvidia-smi --query-gpu``."""


# --- one GPU ----------------------------------------------------------------------------------------


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds that each repetition took on the GPU, after one that does not count."""
    work()
    marks = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)
    ]
    for begin, end in marks:
        begin.record()
        work()
        end.record()
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) / 1e3 for begin, end in marks]


def copy_rate() -> float:
    """GB/s of a copy within the GPU's memory, read and written bytes together."""
    size = min(COPY_BYTES, torch.cuda.mem_get_info()[0] // 4)
    source = torch.empty(size, dtype=torch.uint8, device="cuda").fill_(0x5A)
    target = torch.empty_like(source)
    seconds = statistics.median(timed(lambda: target.copy_(source), 20))
    return float(2 * size / seconds / 1e9)


def host_rates() -> tuple[float, float]:
    """GB/s from pinned memory of the host to the GPU, and back."""
    size = GIB // 2
    host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    device = torch.empty(size, dtype=torch.uint8, device="cuda")
    down = statistics.median(timed(lambda: device.copy_(host, non_blocking=True), 8))
    up = statistics.median(timed(lambda: host.copy_(device, non_blocking=True), 8))
    return size / down / 1e9, size / up / 1e9


def memory_errors() -> int:
    """Words that read back otherwise than they were written, over nine tenths of what is free."""
    words = int(torch.cuda.mem_get_info()[0] * 0.9) // 8
    memory = torch.empty(words, dtype=torch.int64, device="cuda")
    wrong = 0
    for pattern in (0x5555555555555555, -0x5555555555555556):
        memory.fill_(pattern)
        # In pieces: a comparison of the whole would need as much memory again.
        for piece in memory.split(GIB // 8):
            wrong += int(torch.count_nonzero(piece != pattern))
    return wrong


def matrix_rates(seconds: float) -> tuple[list[float], int]:
    """TFLOP/s of each second of bf16 matrix products, and how many results differed from the first.

    The same product of the same matrices by the same kernel is the same to the last bit, so a difference is
    an error of the GPU that nothing else would show.
    """
    generator = torch.Generator(device="cuda").manual_seed(1)
    left = torch.randn(SIDE, SIDE, device="cuda", generator=generator).to(torch.bfloat16)
    right = torch.randn(SIDE, SIDE, device="cuda", generator=generator).to(torch.bfloat16)
    expected = left @ right
    result = torch.empty_like(expected)
    rates, wrong = [], 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        each = timed(lambda: torch.matmul(left, right, out=result), 400)
        rates.append(2 * SIDE**3 * len(each) / sum(each) / 1e12)
        wrong += not torch.equal(result, expected)
    return rates, wrong


def sensors(index: int) -> dict[str, str]:
    """What nvidia-smi reads of a GPU now; empty where the image has no nvidia-smi."""
    words = [
        "nvidia-smi",
        f"--id={index}",
        f"--query-gpu={','.join(SENSORS)}",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return {}
    (row,) = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return dict(zip(SENSORS, row, strict=True))


def burn(index: int, seconds: float, folder: str) -> None:
    """Measure one GPU; what was found goes to a file of the folder."""
    torch.cuda.set_device(index)
    properties = torch.cuda.get_device_properties(index)
    found: dict[str, Any] = {
        "index": index,
        "name": properties.name,
        "memory_mib": properties.total_memory // 1024**2,
        "before": sensors(index),
    }
    found["memory_errors"] = memory_errors()
    torch.cuda.empty_cache()
    found["copy_gbs"] = round(copy_rate(), 1)
    down, up = host_rates()
    found["from_host_gbs"], found["to_host_gbs"] = round(down, 1), round(up, 1)
    torch.cuda.empty_cache()
    rates, wrong = matrix_rates(seconds)
    found["during"] = sensors(index)
    found["bf16_tflops"] = {
        "first": round(rates[0], 1),
        "median": round(statistics.median(rates), 1),
        "least": round(min(rates), 1),
        "last": round(rates[-1], 1),
    }
    found["wrong_results"] = wrong
    Path(folder, f"{index}.json").write_text(json.dumps(found), encoding="utf-8")


def peers() -> list[dict[str, Any]]:
    """GB/s of a copy from each GPU to each other one, and whether they reach each other directly."""
    size = GIB // 2
    found = []
    for source in range(torch.cuda.device_count()):
        held = torch.empty(size, dtype=torch.uint8, device=f"cuda:{source}").fill_(1)
        for target in range(torch.cuda.device_count()):
            if source == target:
                continue
            goal = torch.empty(size, dtype=torch.uint8, device=f"cuda:{target}")
            torch.cuda.set_device(source)
            copy = _copier(goal, held)
            seconds = statistics.median(timed(copy, 5))
            direct = torch.cuda.can_device_access_peer(source, target)
            found.append(
                {"from": source, "to": target, "gbs": round(size / seconds / 1e9, 1), "direct": direct}
            )
    return found


def _copier(goal: torch.Tensor, held: torch.Tensor) -> Callable[[], object]:
    return lambda: goal.copy_(held)


def gpus(seconds: float) -> dict[str, Any]:
    """All GPUs at once: they share power, cooling and the host's memory in service, so they do here."""
    count = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(burn, args=(seconds, folder), nprocs=count)
        found = [
            json.loads(Path(folder, f"{index}.json").read_text(encoding="utf-8")) for index in range(count)
        ]
    return {"seconds": seconds, "gpus": found, "peers": peers() if count > 1 else []}


# --- all GPUs together ------------------------------------------------------------------------------------


def reduce_all(local: int, options: argparse.Namespace, log: str, folder: str) -> None:
    """One process of the all-reduce; the first of the node writes what it measured."""
    per_node = torch.cuda.device_count()
    torch.cuda.set_device(local)
    os.environ["NCCL_DEBUG"] = "INFO"
    os.environ["NCCL_DEBUG_SUBSYS"] = "INIT,GRAPH,NET"
    os.environ["NCCL_DEBUG_FILE"] = f"{log}.{local}"
    torch.distributed.init_process_group(
        "nccl",
        init_method=f"tcp://{options.leader}",
        rank=options.node * per_node + local,
        world_size=options.nodes * per_node,
        timeout=STALL,
        device_id=torch.device("cuda", local),
    )
    world = torch.distributed.get_world_size()
    rows = []
    size = options.least
    while size <= options.most:
        count = max(1, size // 4)
        numbers = torch.ones(count, dtype=torch.float32, device="cuda")
        torch.distributed.all_reduce(numbers)
        right = bool((numbers == world).all())
        numbers.zero_()
        repeats = 20 if size <= 64 * 1024**2 else 5
        seconds = statistics.median(timed(_reducer(numbers), repeats))
        rows.append(
            {
                "bytes": count * 4,
                "microseconds": round(seconds * 1e6, 1),
                "bus_gbs": round(2 * (world - 1) / world * count * 4 / seconds / 1e9, 2),
                "right": right,
            }
        )
        del numbers
        size *= options.factor
    torch.distributed.destroy_process_group()
    if local == 0:
        Path(folder, "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def _reducer(numbers: torch.Tensor) -> Callable[[], object]:
    return lambda: torch.distributed.all_reduce(numbers)


def transports(log: str) -> dict[str, int]:
    """How many channels NCCL says go by which transport: P2P/CUMEM, NET/IB/0/GDRDMA, NET/Socket/0."""
    found: dict[str, int] = {}
    for name in re.findall(r" via ((?:P2P|SHM|NET|COLLNET|NVLS)[\w/-]*)", log):
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def all_reduce(options: argparse.Namespace) -> dict[str, Any]:
    """All GPUs of all nodes together, by message size; the library's own words say which way they go."""
    if options.most > (limit := int(torch.cuda.mem_get_info(0)[0] * 0.8)):
        options.most = limit
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder, "nccl"))
        torch.multiprocessing.spawn(reduce_all, args=(options, log, folder), nprocs=torch.cuda.device_count())
        rows = json.loads(Path(folder, "rows.json").read_text(encoding="utf-8"))
        logs = "".join(
            path.read_text(encoding="utf-8", errors="replace") for path in sorted(Path(folder).glob("nccl.*"))
        )
    return {
        "nodes": options.nodes,
        "ranks": options.nodes * torch.cuda.device_count(),
        "nccl": ".".join(map(str, torch.cuda.nccl.version())),
        "rows": rows,
        "transports": transports(logs),
        "settings": {name: value for name, value in sorted(os.environ.items()) if name.startswith("NCCL_")},
    }


# --- the command --------------------------------------------------------------------------------------


def size(text: str) -> int:
    """``8``, ``64K``, ``1M``, ``8G`` as bytes."""
    match = re.fullmatch(r"([1-9][0-9]*)([KMG]?)", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 8, 64K, 1M or 8G")
    return int(match[1]) << 10 * " KMG".index(match[2] or " ")


def main(arguments: list[str]) -> int:
    """Run one part and print what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("gpus", help="each GPU by itself, all at the same time")
    one.add_argument(
        "--seconds", type=float, default=20.0, help="of matrix products, after the shorter parts"
    )
    group = parts.add_parser("all-reduce", help="all GPUs together")
    group.add_argument("--least", type=size, default=8, help="smallest message")
    group.add_argument(
        "--most", type=size, default=8 * GIB, help="largest message; less where memory is short"
    )
    group.add_argument("--factor", type=int, default=8, help="from one size to the next")
    group.add_argument("--nodes", type=int, default=1)
    group.add_argument("--node", type=int, default=0, help="number of this one")
    group.add_argument("--leader", default="127.0.0.1:29910", help="address and port on node 0")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU in this container: is it started with the GPUs' devices?", file=sys.stderr)
        return 2
    found = gpus(options.seconds) if options.part == "gpus" else all_reduce(options)
    found = {"torch": torch.__version__, "cuda": torch.version.cuda, **found}
    print(json.dumps(found))
    return 0 if sound(found) else 1


def sound(found: dict[str, Any]) -> bool:
    """Whether every result was right; how fast it was is judged by whoever asked."""
    return not any(gpu["memory_errors"] or gpu["wrong_results"] for gpu in found.get("gpus", ())) and all(
        row["right"] for row in found.get("rows", ())
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
