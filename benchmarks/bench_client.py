"""Whether the client of `nimctl bench` can be the bottleneck: streamed chunks per second of its own CPU time.

A null server, a process of its own, streams ready-made chunks at a steady pace to --slots requests at once,
each chunk a segment of its own, as an engine sends them. The client is the one that `nimctl bench` uses, with
its parsing and its clocks. Counted is its CPU time (user and system), because wall time on a busy machine
measures the others: chunks per CPU second is what one core can take. Chunks that arrived together, because
the machine kept the client waiting, count as one. Claimed, and exit code 1 where it is missed: at least
5,000. The best of --repeat counts.

    .venv/bin/python benchmarks/bench_client.py [--slots 64] [--chunks 500] [--rate 40] [--repeat 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection

from nimctl.bench.client import Client
from nimctl.bench.load import Loaded, load
from nimctl.bench.prompts import Prompts

AT_LEAST = 5_000
MODEL = "null"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(choices: list[dict[str, object]], **more: object) -> bytes:
    """One event of a stream, as large as engines send them."""
    content = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": MODEL,
        "choices": choices,
        **more,
    }
    return chunk(b"data: " + json.dumps(content).encode() + b"\n\n")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
    """Stream the number of tokens that is asked for, at a pace; for one connection."""
    loop = asyncio.get_running_loop()
    part = event([{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}])
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            tokens = json.loads(await reader.readexactly(length))["max_tokens"]
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            due = loop.time()
            for _ in range(tokens):
                writer.write(part)
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(event([], usage={"prompt_tokens": 1, "completion_tokens": tokens}))
            writer.write(chunk(b"data: [DONE]\n\n") + chunk(b""))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def serve(rate: float, ready: Connection) -> None:
    """The null server; sends its port when it listens."""

    async def run() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: answer(reader, writer, rate), "127.0.0.1", 0
        )
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def measure(port: int, slots: int, chunks: int) -> tuple[Loaded, float, float]:
    """One level; what came, the client's CPU seconds, and the wall's."""
    async with Client(f"http://127.0.0.1:{port}", "chat", MODEL, None, 60.0) as client:
        prompts = Prompts(1024)
        stop = asyncio.Event()
        await load(client, prompts, words=8, tokens=2, concurrency=slots, requests=slots, stop=stop)
        cpu, wall = time.process_time(), time.perf_counter()
        loaded = await load(
            client, prompts, words=1024, tokens=chunks, concurrency=slots, requests=slots, stop=stop
        )
        return loaded, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure and compare with the claim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=64, help="requests in flight")
    parser.add_argument("--chunks", type=int, default=500, help="chunks of each answer")
    parser.add_argument("--rate", type=float, default=40.0, help="chunks a second of each answer")
    parser.add_argument("--repeat", type=int, default=3, help="how often; the best counts")
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(arguments.rate, theirs), daemon=True)
    server.start()
    best = 0.0
    try:
        port = ours.recv()
        for number in range(arguments.repeat):
            loaded, cpu, wall = asyncio.run(measure(port, arguments.slots, arguments.chunks))
            failed = [sample for sample in loaded.samples if sample.error]
            if failed:
                sys.exit(f"{len(failed)} requests failed: {failed[0].error}: {failed[0].detail}")
            came = sum(sample.chunks for sample in loaded.samples)
            if came != arguments.slots * arguments.chunks:
                sys.exit(f"{came} chunks came, not {arguments.slots * arguments.chunks}")
            alone = sum(1 + sum(gap > 0 for gap in sample.gaps) for sample in loaded.samples)
            best = max(best, alone / cpu)
            print(
                f"  {number + 1}/{arguments.repeat}: {came:,} chunks in {alone:,} arrivals, {cpu:.2f} s CPU, "
                f"{wall:.1f} s wall, {alone / cpu:,.0f} per CPU second",
                flush=True,
            )
    finally:
        server.terminate()
        server.join()
    missed = best < AT_LEAST
    load_average = os.getloadavg()[0]
    print(
        f"\n{best:,.0f} chunks per CPU second, at least {AT_LEAST:,} claimed"
        f"{'  MISSED' if missed else ''} (load average {load_average:.1f})"
    )
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
