"""Let NVIDIA's AIPerf put the load on, and read its result.

AIPerf is no dependency of nimctl: it brings more than a hundred packages. Whoever has it can compare, or keep
to the tool that their site has agreed on. What is used of it is described in its own documentation: a YAML
configuration, which is how a key stays out of the argument list, and ``profile_export_aiperf.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nimctl.bench.result import Goodput, Level
from nimctl.bench.statistics import Distribution
from nimctl.bench.sweep import PER_SLOT, Order, Swept, Watcher
from nimctl.errors import NimctlError, RejectedError

PROGRAM = "aiperf"
EXPORT = "profile_export_aiperf.json"
KEY = "NIMCTL_BENCH_API_KEY"
"""The variable of AIPerf's process that holds the API key; its configuration only names it."""


def program() -> str:
    """The path of AIPerf's command, beside our own Python or on PATH.

    Raises:
        RejectedError: it is not installed.
    """
    found = shutil.which(
        PROGRAM, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if found is None:
        raise RejectedError(
            "--tool aiperf: aiperf is not installed. It needs a virtual environment of its own: "
            "python3 -m venv aiperf && aiperf/bin/pip install aiperf, then put aiperf/bin on PATH"
        )
    return found


def configuration(order: Order, concurrency: int, tokenizer: str, *, key: bool) -> dict[str, Any]:
    """AIPerf's configuration of one level, as its schema 2.0 wants it."""
    requests = order.requests or concurrency * PER_SLOT
    warmup = concurrency if order.warmup is None else order.warmup
    endpoint: dict[str, Any] = {
        "url": order.url,
        "type": order.api,
        "streaming": True,
        "timeout": order.timeout,
        "use_server_token_count": True,
        "use_legacy_max_tokens": order.dialect.limit == "max_tokens",
        "extra": {"ignore_eos": True, **order.dialect.extra},
    }
    if key:
        endpoint["api_key"] = f"${{{KEY}}}"
    profiling: dict[str, Any] = {
        "name": "profiling",
        "type": "concurrency",
        "concurrency": concurrency,
        "requests": requests,
    }
    if order.level_seconds is not None:
        profiling["duration"] = order.level_seconds
    phases = [profiling]
    if warmup:
        phases.insert(
            0,
            {
                "name": "warmup",
                "type": "concurrency",
                "concurrency": concurrency,
                "requests": warmup,
                "exclude_from_results": True,
            },
        )
    limits = {
        "time_to_first_token": order.limits.ttft_ms,
        "inter_token_latency": order.limits.tpot_ms,
        "request_latency": order.limits.e2e_ms,
    }
    wanted = {name: limit for name, limit in limits.items() if limit is not None}
    benchmark: dict[str, Any] = {
        "model": order.model,
        "endpoint": endpoint,
        "tokenizer": {"name": tokenizer},
        "dataset": {
            "type": "synthetic",
            # AIPerf repeats prompts when it runs out of them, and repeated ones come from a cache.
            "entries": requests + warmup,
            "prompts": {"isl": order.isl, "osl": order.osl},
        },
        "phases": phases,
    }
    if wanted:
        benchmark["slos"] = wanted
    return {"schemaVersion": "2.0", "benchmark": benchmark}


def run(order: Order, key: str | None, tokenizer: str, watcher: Watcher) -> tuple[Swept, str]:
    """Measure every level with AIPerf, one call each; the order must name the model. Also AIPerf's version.

    Raises:
        RejectedError: it is not installed.
        NimctlError: it failed; the message has the end of what it printed.
    """
    command = program()
    levels: list[Level] = []
    interrupted, version = False, ""
    with tempfile.TemporaryDirectory(prefix="nimctl-aiperf-") as name:
        for concurrency in order.levels:
            folder = Path(name, str(concurrency))
            folder.mkdir()
            config = folder / "config.yml"
            config.write_text(
                yaml.safe_dump(configuration(order, concurrency, tokenizer, key=key is not None)),
                encoding="utf-8",
            )
            watcher.begin(concurrency, order.requests or concurrency * PER_SLOT, warmup=False)
            interrupted = _call(command, config, folder, key)
            export = folder / EXPORT
            if not export.is_file():
                if interrupted:
                    break
                raise NimctlError(_why(folder, concurrency))
            content = json.loads(export.read_text(encoding="utf-8"))
            version = str(content.get("aiperf_version", ""))
            level = read(content, concurrency)
            levels.append(level)
            watcher.end(level)
            if interrupted:
                break
    return Swept(order.model, tuple(levels), interrupted, ()), version


def _call(command: str, config: Path, folder: Path, key: str | None) -> bool:
    """Run AIPerf once; whether Ctrl-C stopped it. What it prints goes to ``log`` in its folder."""
    environment = {**os.environ, **({KEY: key} if key else {})}
    arguments = [command, "profile", "--config", str(config), "--ui", "none", "--artifact-dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the tool that the user asked for
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            # The terminal has sent it to AIPerf as well, which then writes what it has.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return True
    return False


def _why(folder: Path, concurrency: int) -> str:
    text = (folder / "log").read_text(encoding="utf-8", errors="replace").strip()
    # Names of files in the folder, which goes, would send people to nothing.
    lines = [line for line in text.splitlines() if line.strip() and str(folder) not in line]
    said = "\n".join(f"    {line}" for line in lines[-15:])
    return f"aiperf gave no result at concurrency {concurrency}. The end of what it printed:\n{said}"


def read(content: Mapping[str, Any], concurrency: int) -> Level:
    """A level from AIPerf's ``profile_export_aiperf.json``.

    What AIPerf calls inter token latency is the time per output token of each request, ours TPOT; what it
    calls inter chunk latency is our ITL.
    """
    good = int(_one(content, "request_count") or 0)
    errors: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for item in content.get("error_summary") or []:
        errors[_kind(item)] += int(item.get("count", 0))
        examples.setdefault(_kind(item), _says(item))
    seconds = _one(content, "benchmark_duration") or 0.0
    tpot = _spread(content, "inter_token_latency")
    failed = sum(errors.values())
    tokens, chunks = _one(content, "total_osl"), (content.get("inter_chunk_latency") or {}).get("count")
    goodput = _one(content, "goodput")
    kept = _one(content, "good_request_count")
    rate = _one(content, "request_throughput")
    return Level(
        concurrency=concurrency,
        requests=good + failed,
        completed=good,
        errors=dict(sorted(errors.items())),
        error_examples=examples,
        seconds=round(seconds, 3),
        complete=not content.get("was_cancelled", False),
        isl=_one(content, "input_sequence_length"),
        osl=_one(content, "output_sequence_length"),
        ttft_ms=_spread(content, "time_to_first_token"),
        tpot_ms=tpot,
        itl_ms=_spread(content, "inter_chunk_latency"),
        e2e_ms=_spread(content, "request_latency"),
        tokens_per_chunk=round(tokens / (chunks + good), 3) if tokens and chunks else None,
        requests_per_second=round(rate or 0.0, 3),
        tokens_per_second=_rounded(_one(content, "output_token_throughput")),
        input_tokens_per_second=_rounded(_one(content, "input_token_throughput")),
        tokens_per_second_per_user=round(1000 / tpot.p50, 3) if tpot and tpot.p50 else None,
        goodput=None
        if goodput is None
        else Goodput(round(goodput, 3), round((kept or 0) / (good + failed), 4) if good + failed else 0.0),
        client=None,
    )


def _one(content: Mapping[str, Any], name: str) -> float | None:
    metric = content.get(name)
    value = metric.get("avg") if isinstance(metric, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _spread(content: Mapping[str, Any], name: str) -> Distribution | None:
    metric = content.get(name)
    if not isinstance(metric, Mapping) or metric.get("p50") is None:
        return None
    if metric.get("unit") != "ms":
        raise NimctlError(f"aiperf gives {name} in {metric.get('unit')}; nimctl knows ms only")
    return Distribution(
        count=int(metric.get("count") or 0),
        **{
            ours: round(float(metric[theirs]), 3)
            for ours, theirs in (
                ("mean", "avg"),
                ("p50", "p50"),
                ("p90", "p90"),
                ("p99", "p99"),
                ("low", "min"),
                ("high", "max"),
            )
        },
    )


def _kind(item: Mapping[str, Any]) -> str:
    details = item.get("error_details") or {}
    code = details.get("code")
    return f"http {code}" if code else str(details.get("type") or "unknown")


def _says(item: Mapping[str, Any]) -> str:
    return " ".join(str((item.get("error_details") or {}).get("message") or "").split())[:200]
