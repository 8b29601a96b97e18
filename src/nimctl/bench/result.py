"""What ``nimctl bench`` answers: the one shape of its tables, its JSON, its saved files and its page.

Every class is a JSON object of the same keys; docs/reference/bench.md documents them. Times are milliseconds
unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nimctl.bench.statistics import Distribution


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What was asked; ``deployment`` and ``replica`` where it came from a description."""

    url: str
    api: str
    model: str
    deployment: str | None = None
    replica: int | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What serves it, as far as it is known: the columns of a measured row that the client cannot see."""

    system: str | None = None
    model: str | None = None
    backend: str | None = None
    backend_version: str | None = None
    precision: str | None = None
    nodes: int | None = None
    gpus_per_node: int | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The load of every level: tokens in and out of each request, and what was not counted before."""

    isl: int
    osl: int
    warmup: int | None
    requests: int | None
    level_seconds: float | None
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The objective that goodput counts against; None: no limit."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is an objective at all."""
        return self != Limits()


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that kept every limit: per second, and as a share of all, failed ones included."""

    requests_per_second: float
    share: float


@dataclass(frozen=True, slots=True)
class ClientStrain:
    """How busy the client was: near 1 core, or late, it measures itself."""

    cpu_share: float
    lag_p99_ms: float


@dataclass(frozen=True, slots=True)
class Level:
    """One concurrency. Tokens per second are output tokens unless the name says ``input``."""

    concurrency: int
    requests: int
    completed: int
    errors: dict[str, int]
    error_examples: dict[str, str]
    seconds: float
    complete: bool
    isl: float | None
    osl: float | None
    ttft_ms: Distribution | None
    tpot_ms: Distribution | None
    itl_ms: Distribution | None
    e2e_ms: Distribution | None
    tokens_per_chunk: float | None
    requests_per_second: float
    tokens_per_second: float | None
    input_tokens_per_second: float | None
    tokens_per_second_per_user: float | None
    goodput: Goodput | None
    client: ClientStrain | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A predicted number and its interval, as in ``nimctl plan``."""

    value: float
    low: float
    high: float
    origin: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the plan says for one concurrency."""

    concurrency: int
    ttft_ms: Interval
    tpot_ms: Interval
    tokens_per_second: Interval


@dataclass(frozen=True, slots=True)
class Result:
    """A whole sweep; ``interrupted`` where Ctrl-C ended it early, with what there was until then."""

    time: str
    tool: str
    version: str
    endpoint: Endpoint
    setup: Setup
    load: Ask
    limits: Limits
    levels: tuple[Level, ...]
    interrupted: bool = False
    prediction: tuple[Predicted, ...] = ()
    notes: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(level.requests - level.completed for level in self.levels)
