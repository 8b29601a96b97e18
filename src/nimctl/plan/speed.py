"""How long a decode step and a prefill take: a roofline with overheads, queueing and interference.

    step(B) = ((W / BW e_w)^3 + (F / peak e_f)^3)^(1/3)            weights, or the matrices on them
            + KV / BW e_kv + F_attention / (0.3 peak)              the cache
            + t_0 + L t_layer + L_moe t_moe + B t_seq              overheads
            + R (alpha + 2 (n-1)/n bytes / (link e_link)) + between nodes
    TPOT    = step(B phi) + f (B phi - 1) / OSL (T_prefill + t_p),   phi = D / (D + TTFT),  D = OSL TPOT
    TTFT    = a_0 + T_prefill (1 + h (B-1)^g) + k TPOT + waiting for a place + s D / B

where W counts the experts that a batch reaches. Requests that are in prefill or wait do not decode, hence
phi; TPOT and TTFT depend on each other and are solved together. All of it is plain arithmetic, so that the
script which fits the factors can hand in arrays where a plan hands in numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nimctl.plan.gpus import Gpu
from nimctl.plan.model import Format, Model
from nimctl.plan.work import Split, decode_work, prefill_work

Factors = Mapping[str, Any]
"""The fitted factors by name, each a number (or an array, when they are being fitted)."""

_SHARPNESS = 3
"""How sharply a roofline turns from memory to compute."""
_PREFILL_MFU = 0.5
"""Of the peak, in the prefill that decodes wait for; ``f`` is fitted on top of it."""
_ROUNDS = 8
CONTEXT_SHARE = 0.95
"""Mean length over the nominal one: benchmarks draw lengths somewhat below it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the formulas need to know of one case, in seconds at the hardware's peak unless named otherwise.

    ``capacity`` is how many requests the KV cache holds. ``between`` and ``between_prefill`` are what a
    decode step and a prefill spend between nodes, from the fabric's own model.
    """

    weights: Any
    expert: Any
    experts: Any
    per_token: Any
    tokens: Any
    kv: Any
    flops: Any
    attention: Any
    layers: Any
    moe_layers: Any
    reduces: Any
    reduced: Any
    prefill_weights: Any
    prefill_flops: Any
    prefill_attention: Any
    prefill_reduced: Any
    concurrency: Any
    capacity: Any
    isl: Any
    osl: Any
    data: Any
    pipeline: Any
    between: Any = 0.0
    between_prefill: Any = 0.0


def facts(
    model: Model,
    form: Format,
    gpu: Gpu,
    split: Split,
    isl: float,
    osl: float,
    concurrency: float,
    capacity: float,
    kv_bytes: float,
    within: int = 0,
    between: float = 0.0,
    between_prefill: float = 0.0,
) -> Facts:
    """The facts of one case; ``within`` is how many GPUs of a tensor group share a node (0: all)."""
    near = min(within or split.tensor, split.tensor)
    decode = decode_work(model, form, split, concurrency, CONTEXT_SHARE * (isl + osl / 2), kv_bytes)
    prefill = prefill_work(model, form, split, isl)
    _, peak = gpu.compute(form.compute)
    wide = gpu.flops["bf16"]
    ring = 2 * (near - 1) / near / (gpu.link or 1.0) if near > 1 else 0.0
    return Facts(
        weights=decode.weights / gpu.bandwidth,
        expert=decode.expert_weights / gpu.bandwidth,
        experts=decode.experts,
        per_token=decode.per_token,
        tokens=decode.tokens,
        kv=decode.kv / gpu.bandwidth,
        flops=decode.flops / peak,
        attention=decode.attention_flops / wide,
        layers=decode.layers,
        moe_layers=decode.moe_layers,
        reduces=decode.reduces,
        reduced=decode.reduced * ring,
        prefill_weights=prefill.weights / gpu.bandwidth,
        prefill_flops=prefill.flops / peak,
        prefill_attention=prefill.attention_flops / wide,
        prefill_reduced=prefill.reduced * ring,
        concurrency=concurrency,
        capacity=capacity,
        isl=isl,
        osl=osl,
        data=split.data,
        pipeline=split.pipeline,
        between=between,
        between_prefill=between_prefill,
    )


def parts(case: Facts, p: Factors, busy: Any = 1.0) -> dict[str, Any]:
    """The parts of one decode step in seconds; ``busy`` is the share of the requests that decode."""
    few = largest(case.experts, 1)
    active = case.experts * (1 - (1 - case.per_token / few) ** (case.tokens * busy * p["skew"]))
    weights = (case.weights + case.expert * active) / p["etaw"]
    compute = case.flops * busy / p["mfud"]
    both = _roofline(weights, compute)
    batch = case.concurrency / case.data
    return {
        "weights": weights,
        "compute": both - weights,
        "kv_cache": case.kv * busy / p["etakv"] + case.attention * busy / 0.3,
        "overhead": p["t0"] + case.layers * p["tl"] + case.moe_layers * p["tmoe"] + batch * busy * p["tseq"],
        "collectives": case.reduces * (p["al"] + case.reduced * busy / p["ble"]),
        "pipeline": case.between,
    }


def step(case: Facts, p: Factors, busy: Any = 1.0) -> Any:
    """One decode step in seconds."""
    return sum(parts(case, p, busy).values())


def prefill(case: Facts, mfu: Any) -> Any:
    """The prefill of one request alone, in seconds."""
    matrices = _roofline(case.prefill_weights / 0.8, case.prefill_flops / mfu)
    collectives = case.reduces * case.prefill_reduced / 0.6
    launch = case.layers * 4e-5
    return matrices + case.prefill_attention / (mfu * 0.7) + collectives + launch + case.between_prefill


def interference(case: Facts, p: Factors, busy: Any) -> Any:
    """What one token waits for the prefills of other requests, in seconds."""
    others = largest(case.concurrency * busy - 1, 0) / case.osl / case.data / case.pipeline
    return p["f"] * others * (prefill(case, _PREFILL_MFU) + p["tpf"])


def tpot(case: Facts, p: Factors, decoding: Any, waiting: Any) -> Any:
    """Seconds per output token of a request that decodes ``decoding`` and waits ``waiting`` seconds."""
    busy = decoding / (decoding + waiting)
    return (step(case, p, busy) + interference(case, p, busy)) * p["mult"]


def ttft(case: Facts, p: Factors, token: Any) -> Any:
    """Seconds to the first token when one output token takes ``token`` seconds."""
    places = smallest(case.concurrency, case.capacity * p["capf"])
    decoding = case.osl * token
    own = prefill(case, p["mfup"])
    queue = largest(case.concurrency / places - 1, 0) * decoding
    behind = own * p["h"] * largest(places - 1, 0.01) ** p["ga"]
    start = p["a0"] + own + behind + token * p["ks"]
    return (start + queue + p["slot"] * decoding / places) * p["mult2"]


def ttft_unloaded(case: Facts, p: Factors, token: Any) -> Any:
    """Seconds to the first token of a request that is alone."""
    return (p["a0"] + prefill(case, p["mfup"]) + token * p["ks"]) * p["mult2"]


def together(case: Facts, p: Factors) -> tuple[Any, Any]:
    """TPOT and TTFT in seconds, each with the other."""
    token = step(case, p)
    first = ttft(case, p, token)
    for _ in range(_ROUNDS):
        first = ttft(case, p, token)
        token = 0.3 * token + 0.7 * tpot(case, p, case.osl * token, first)
    return token, first


def _roofline(memory: Any, compute: Any) -> Any:
    return (memory**_SHARPNESS + compute**_SHARPNESS) ** (1 / _SHARPNESS)


def largest(a: Any, b: Any) -> Any:
    """The larger one, of numbers or elements of arrays."""
    return (a + b + abs(a - b)) / 2


def smallest(a: Any, b: Any) -> Any:
    """The smaller one, of numbers or elements of arrays."""
    return (a + b - abs(a - b)) / 2
