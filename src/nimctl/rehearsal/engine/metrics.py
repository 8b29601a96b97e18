"""Counters of the leader in Prometheus text, under the names that the engines use."""

from __future__ import annotations

import threading
from collections.abc import Iterable

_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """Observed seconds in cumulative buckets."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.total += seconds
        for index, bound in enumerate((*_BUCKETS, float("inf"))):
            if seconds <= bound:
                self.counts[index] += 1

    def lines(self, name: str, label: str) -> Iterable[str]:
        """The samples of this histogram."""
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self.counts, strict=True):
            yield f'{name}_bucket{{{label},le="{bound}"}} {count}'
        yield f"{name}_sum{{{label}}} {self.total:.6f}"
        yield f"{name}_count{{{label}}} {self.counts[-1]}"


class Metrics:
    """What the leader has done since it started."""

    def __init__(self, model: str, prefix: str) -> None:
        self._label = f'model_name="{_escape(model)}"'
        self._prefix = prefix
        self._lock = threading.Lock()
        self._prompt_tokens = 0
        self._generation_tokens = 0
        self._steps = 0
        self._step_tokens = 0
        self._finished: dict[str, int] = {"stop": 0, "length": 0, "abort": 0}
        self._first_token = Histogram()
        self._latency = Histogram()

    def prompt(self, tokens: int) -> None:
        """Count the tokens of a prompt that has been read."""
        with self._lock:
            self._prompt_tokens += tokens

    def step(self, tokens: int) -> None:
        """Count one step of the engine and the tokens it worked on, read or made."""
        with self._lock:
            self._steps += 1
            self._step_tokens += tokens

    def generated(self, tokens: int) -> None:
        """Count tokens that were made."""
        with self._lock:
            self._generation_tokens += tokens

    def first_token(self, seconds: float) -> None:
        """Record how long a request waited for its first token."""
        with self._lock:
            self._first_token.observe(seconds)

    def finished(self, reason: str, seconds: float) -> None:
        """Record that a request ended, and how long it took."""
        with self._lock:
            self._finished[reason] = self._finished.get(reason, 0) + 1
            self._latency.observe(seconds)

    def render(self, running: int, waiting: int) -> str:
        """The page that Prometheus reads."""
        label = self._label
        with self._lock:
            samples: list[tuple[str, str, Iterable[str]]] = [
                ("num_requests_running", "gauge", [f"{{{label}}} {running}"]),
                ("num_requests_waiting", "gauge", [f"{{{label}}} {waiting}"]),
                ("prompt_tokens_total", "counter", [f"{{{label}}} {self._prompt_tokens}"]),
                ("generation_tokens_total", "counter", [f"{{{label}}} {self._generation_tokens}"]),
                (
                    "request_success_total",
                    "counter",
                    [f'{{{label},finished_reason="{key}"}} {count}' for key, count in self._finished.items()],
                ),
            ]
            lines = list(self._progress())
            for name, kind, values in samples:
                lines.append(f"# TYPE {self._prefix}{name} {kind}")
                lines += [f"{self._prefix}{name}{value}" for value in values]
            histograms = {
                "time_to_first_token_seconds": self._first_token,
                "e2e_request_latency_seconds": self._latency,
            }
            for name, histogram in histograms.items():
                lines.append(f"# TYPE {self._prefix}{name} histogram")
                lines += histogram.lines(self._prefix + name, label)
        return "\n".join(lines) + "\n"

    def _progress(self) -> Iterable[str]:
        """What grows with every step, also during a long prefill; NIM's own names have nothing like it."""
        if self._prefix == "vllm:":
            name = "vllm:iteration_tokens_total"
            yield f"# TYPE {name} histogram"
            yield f'{name}_bucket{{{self._label},le="+Inf"}} {self._steps}'
            yield f"{name}_sum{{{self._label}}} {self._step_tokens}"
            yield f"{name}_count{{{self._label}}} {self._steps}"
        elif self._prefix == "sglang:":
            yield "# TYPE sglang:realtime_tokens_total counter"
            yield f"sglang:realtime_tokens_total{{{self._label}}} {self._step_tokens}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
