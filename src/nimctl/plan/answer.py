"""What ``nimctl plan`` answers: the one shape that the table, the JSON and the HTML page are made from.

Every class is a JSON object of the same keys; docs/reference/plan.md documents them. Bytes are bytes, times
milliseconds, money US dollars, unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Origin = Literal["measured", "calibrated", "analytic"]
"""Where a prediction comes from: rows that the user measured, factors fitted on published measured rows of
a like setup, or formulas alone."""

Verdict = Literal["viable", "degraded", "unviable"]
"""Whether the network between nodes is good enough for one split."""

Goal = Literal["latency", "throughput", "gpus"]
"""What splits are ranked for."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The model as understood; ``parameters`` are all that are resident, ``active`` those of one token."""

    id: str
    name: str
    parameters: int
    active: int
    layers: int
    experts: int
    context: int
    attention: Literal["mha", "gqa", "mla", "hybrid"]
    precisions: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class FabricPort:
    """How each node is attached: ``gbs_per_gpu`` is what one GPU gets of it, in GB/s."""

    kind: str
    rate: str
    ports: int
    gbps: float
    gbs_per_gpu: float
    source: str


@dataclass(frozen=True, slots=True)
class ClusterAnswer:
    """The machines that were planned for; ``fabric`` is None for a single node."""

    gpu: str
    gpu_description: str
    nodes: int
    gpus_per_node: int
    memory_bytes: int
    fabric: FabricPort | None
    source: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked of it: tokens in and out of a request, requests in flight, and limits."""

    isl: int
    osl: int
    concurrency: int
    goal: Goal
    ttft_limit_ms: float | None = None
    tpot_limit_ms: float | None = None


@dataclass(frozen=True, slots=True)
class StageMemory:
    """The memory of each GPU of one pipeline stage, in bytes; the parts add up to ``capacity``.

    ``overhead`` is what CUDA, NCCL and the engine take; ``kv_cache`` what the workload needs; ``free`` what
    is left (negative: missing).
    """

    stage: int
    layers: int
    weights: int
    kv_cache: int
    activations: int
    overhead: int
    free: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Whether and how it fits. ``limiting_stage`` is the fullest; limits are those of the whole replica.

    ``weights_total`` counts each parameter once. ``max_context`` is the longest request that fits alone,
    ``max_concurrency`` how many requests of the workload's length fit together, ``kv_bytes_per_token``
    that of one GPU of the limiting stage.
    """

    weights_total: int
    needed_per_gpu: int
    capacity_per_gpu: int
    limiting_stage: int
    kv_bytes_per_token: int
    max_context: int
    max_concurrency: int
    stages: tuple[StageMemory, ...]


@dataclass(frozen=True, slots=True)
class RankPlacement:
    """One node's share of the replica: ``layers`` are numbers of the first and the last one, from 0."""

    rank: int
    node: str
    gpus: tuple[int, ...]
    stages: tuple[int, ...]
    layers: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted number with an interval and its origin.

    The interval holds in ``coverage`` of the cases that were held out of the fit; None where there were none.
    """

    value: float
    low: float
    high: float
    origin: Origin
    basis: str
    coverage: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """How fast one replica is, unless a name says ``per_user``; tokens are output tokens."""

    ttft_unloaded_ms: Estimate
    ttft_ms: Estimate
    tpot_ms: Estimate
    tokens_per_second: Estimate
    tokens_per_second_per_user: Estimate
    step_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class FabricRow:
    """One network for one split; ``share`` is the part of a decode step spent between nodes, 0 to 1."""

    kind: str
    rate: str
    name: str
    tensor: int
    pipeline: int
    gbs_per_gpu: float
    latency_us: float
    share: float
    step_ms: float
    tpot_ms: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class FabricAnswer:
    """The verdict on the network for the chosen split; ``table`` has other networks (``--fabric all``)."""

    verdict: Verdict
    share: float
    reason: str
    origin: Origin
    table: tuple[FabricRow, ...] = ()


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Against one API. Tokens are input and output together, in the workload's proportion.

    ``tokens_per_month`` is None where no load breaks even; ``reachable`` says whether ``replicas`` at
    that load can serve it within their capacity.
    """

    api: str
    usd_per_million_in: float
    usd_per_million_out: float
    usd_per_million_blended: float
    tokens_per_month: float | None
    replicas: int | None
    capacity_tokens_per_month: float
    reachable: bool
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one replica costs; hours of a month are 730. ``usd_per_million_out`` is at full load."""

    gpu_usd_per_hour: float
    licence_usd_per_hour: float
    usd_per_hour: float
    usd_per_month: float
    usd_per_million_out: float | None
    usd_per_million_blended: float | None
    as_of: str
    source: str
    break_even: tuple[BreakEven, ...] = ()


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """One point of latency against concurrency; ``fits`` is False where the KV cache is too small."""

    concurrency: int
    ttft_ms: float
    ttft_low_ms: float
    ttft_high_ms: float
    tpot_ms: float
    tpot_low_ms: float
    tpot_high_ms: float
    tokens_per_second: float
    fits: bool


@dataclass(frozen=True, slots=True)
class CostPoint:
    """One point of cost against load; ``api_usd`` has one price for each of ``cost.break_even``."""

    tokens_per_month: float
    replicas: int
    self_usd: float
    api_usd: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """What a page draws."""

    latency: tuple[LatencyPoint, ...]
    cost: tuple[CostPoint, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Something else that could be done, best first; numbers are None where there is nothing to compute."""

    kind: Literal["split", "quantize", "gpus", "hardware", "distilled", "offload", "api"]
    title: str
    reason: str
    fits: bool
    model: str
    gpu: str
    nodes: int
    gpus: int
    tensor: int | None
    pipeline: int | None
    precision: str | None
    ttft_ms: float | None
    tpot_ms: float | None
    tokens_per_second: float | None
    usd_per_hour: float | None
    usd_per_million_out: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One number of the answer: ``formula`` with ``inputs`` gives ``value``."""

    number: str
    value: str
    formula: str
    inputs: dict[str, str]
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer.

    Where ``fits`` is False, the split is the one that comes closest, ``prediction``, ``cost`` and ``curves``
    are None, and ``placement`` is empty.
    """

    fits: bool
    summary: str
    deployment: str | None
    model: ModelAnswer
    cluster: ClusterAnswer
    workload: Workload
    engine: str
    precision: str
    kv_precision: str
    tensor: int
    pipeline: int
    expert: int
    data: int
    nodes: int
    gpus: int
    stages: tuple[int, ...]
    memory: Memory
    placement: tuple[RankPlacement, ...]
    prediction: Prediction | None
    fabric: FabricAnswer | None
    cost: Cost | None
    alternatives: tuple[Alternative, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    curves: Curves | None
    explanations: tuple[Explanation, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON types."""
        return asdict(self)
