"""Answers as `nimctl plan` and `nimctl bench` give them, with round numbers, for pages to be made of."""

from dataclasses import replace

from nimctl.bench import result as bench
from nimctl.bench.statistics import Distribution
from nimctl.plan import answer as plan

GIB = 2**30
MONTH = 730.0


def estimate(value, spread=0.2, origin="analytic"):
    return plan.Estimate(
        value,
        value * (1 - spread),
        value * (1 + spread),
        origin,
        "roofline with factors fitted on 1,645 public rows; across nodes by formula",
        0.9,
    )


def stage(number, layers, weights, kv_cache):
    parts = {"weights": weights, "kv_cache": kv_cache, "activations": 2.5, "overhead": 4.6}
    capacity = 79.2
    parts = {name: int(size * GIB) for name, size in parts.items()}
    whole = int(capacity * GIB)
    return plan.StageMemory(number, layers, free=whole - sum(parts.values()), capacity=whole, **parts)


def memory(*stages, needed=66.4):
    return plan.Memory(
        weights_total=688_586_727_753,
        needed_per_gpu=int(needed * GIB),
        capacity_per_gpu=int(79.2 * GIB),
        limiting_stage=0,
        kv_bytes_per_token=35_712,
        max_context=163_840,
        max_concurrency=148,
        stages=stages,
    )


def break_even(api, in_, out, at, replicas, reachable, reason):
    return plan.BreakEven(
        api,
        in_,
        out,
        (in_ + out) / 2,
        at,
        replicas,
        9.2e9,
        reachable,
        reason,
        f"{api}: price page, 2026-10-01",
    )


APIS = (
    break_even(
        "deepseek-v4-pro, off-peak",
        0.66,
        1.98,
        3.5e10,
        4,
        True,
        "Own GPUs cost less than deepseek-v4-pro (off-peak) from 35 B tokens a month on, with 4 replicas.",
    ),
    break_even(
        "deepseek-v4-pro, peak",
        1.32,
        3.96,
        1.77e10,
        2,
        True,
        "Own GPUs cost less from 17.7 B tokens a month on, with 2 replicas.",
    ),
    break_even(
        "deepseek-flash",
        0.15,
        0.60,
        None,
        None,
        False,
        "No load breaks even: even at full load own GPUs cost $3.48 per million, the API $0.38.",
    ),
)


def cost_points():
    points = []
    for step in range(1, 61):
        tokens = step * 1e9
        replicas = -(-int(tokens) // int(9.2e9))
        api = tuple(tokens / 1e6 * item.usd_per_million_blended for item in APIS)
        points.append(plan.CostPoint(tokens, replicas, replicas * 46_720.0 * 0.25, api))
    return tuple(points)


def latency_points():
    points = []
    for power in range(9):
        at = 2**power
        ttft, tpot = 220 * (1 + at / 16), 14 + 0.34 * at
        points.append(
            plan.LatencyPoint(
                at, ttft, ttft * 0.6, ttft * 1.7, tpot, tpot * 0.85, tpot * 1.2, 1000 / tpot * at, at <= 128
            )
        )
    return tuple(points)


def fabric_rows():
    names = (
        ("NDR InfiniBand, 8 ports", "infiniband", "ndr", 48.0, 0.004, "viable"),
        ("HDR InfiniBand, 8 ports", "infiniband", "hdr", 24.0, 0.006, "viable"),
        ("100 GbE, 1 port", "ethernet", "100g", 1.4, 0.031, "viable"),
        ("25 GbE, 1 port", "ethernet", "25g", 0.36, 0.12, "degraded"),
        ("1 GbE, 1 port", "ethernet", "1g", 0.014, 0.61, "unviable"),
    )
    return tuple(
        plan.FabricRow(kind, rate, name, 8, 2, gbs, 30.0, share, 24.8, 25.0 / (1 - share), verdict, "why")
        for name, kind, rate, gbs, share, verdict in names
    )


def alternatives():
    def one(kind, title, reason, gpu, nodes, gpus, tensor, numbers, fits=True):
        return plan.Alternative(
            kind,
            title,
            reason,
            fits,
            "deepseek-ai/DeepSeek-R1",
            gpu,
            nodes,
            gpus,
            tensor,
            None if tensor is None else gpus // tensor,
            None if tensor is None else "fp8",
            *numbers,
        )

    return (
        one(
            "hardware",
            "One node of 8 H200",
            "Half the GPUs, and nothing between nodes.",
            "h200-sxm",
            1,
            8,
            8,
            (338.0, 23.3, 1310.0, 40.0, 8.48),
        ),
        one(
            "split",
            "TP16 over both nodes",
            "All-reduces between nodes take 38 % of a step.",
            "h100-sxm",
            2,
            16,
            16,
            (540.0, 41.0, 780.0, 64.0, 22.8),
        ),
        one(
            "api",
            "deepseek-v4-pro by API",
            "Cheaper below 35 B tokens a month.",
            "",
            0,
            0,
            None,
            (None, None, None, None, 1.98),
        ),
        one(
            "quantize",
            "BF16 in the place of FP8",
            "1,342 GB of weights do not fit 1,280 GB.",
            "h100-sxm",
            2,
            16,
            8,
            (None, None, None, 64.0, None),
            fits=False,
        ),
    )


def plan_that_fits():
    return plan.Plan(
        fits=True,
        summary="DeepSeek-R1 in FP8 fits 2 nodes of 8 H100 with TP8 x PP2; 25 ms per token at 32 requests.",
        deployment="r1",
        model=plan.ModelAnswer(
            "deepseek-ai/DeepSeek-R1",
            "DeepSeek-R1",
            671_026_419_200,
            37_552_282_112,
            61,
            256,
            163_840,
            "mla",
            ("fp8",),
            "https://huggingface.co/deepseek-ai/DeepSeek-R1/blob/main/config.json, read 2026-11-24",
        ),
        cluster=plan.ClusterAnswer(
            "h100-sxm",
            "NVIDIA H100 SXM 80GB",
            2,
            8,
            int(79.65 * GIB),
            plan.FabricPort("infiniband", "ndr", 8, 400.0, 48.0, "NDR at 96 %, nccl-tests#290"),
            "gpus.yml: system file of aiconfigurator 0.12.0",
        ),
        workload=plan.Workload(1024, 1024, 32, "throughput", 2000.0, 50.0),
        engine="sglang",
        precision="fp8",
        kv_precision="bf16",
        tensor=8,
        pipeline=2,
        expert=1,
        data=1,
        nodes=2,
        gpus=16,
        stages=(31, 30),
        memory=memory(stage(0, 31, 41.6, 17.7), stage(1, 30, 40.3, 17.2)),
        placement=(
            plan.RankPlacement(0, "gpu01", tuple(range(8)), (0,), (0, 30)),
            plan.RankPlacement(1, "gpu02", tuple(range(8)), (1,), (31, 60)),
        ),
        prediction=plan.Prediction(
            estimate(260.0, 0.3),
            estimate(660.0, 0.5),
            estimate(24.88),
            estimate(1286.0),
            estimate(40.2),
            {
                "weights": 9.1,
                "kv_cache": 1.2,
                "compute": 0.8,
                "collectives": 4.4,
                "pipeline": 0.1,
                "overhead": 6.1,
                "prefill": 3.2,
            },
        ),
        fabric=plan.FabricAnswer(
            "viable",
            0.004,
            "TP8 x PP2 sends 0.46 MB between nodes for each step: 0.4 % of it.",
            "analytic",
            fabric_rows(),
        ),
        cost=plan.Cost(
            48.0, 16.0, 64.0, 64.0 * MONTH, 13.82, 3.48, "2026-05-01", "prices.yml: Mercatus, specialty", APIS
        ),
        alternatives=alternatives(),
        reasons=("TP8 keeps all-reduces inside a node; two stages split 61 layers 31 / 30.",),
        notes=("Speed across nodes is analytic: no measured row spans nodes.",),
        curves=plan.Curves(latency_points(), cost_points()),
        explanations=(
            plan.Explanation(
                "KV cache per token",
                "35,712 bytes",
                "layers x (kv_lora_rank + qk_rope_head_dim) x bytes",
                {"layers": "31", "kv_lora_rank": "512", "qk_rope_head_dim": "64", "bytes": "2"},
                "config.json",
            ),
        ),
    )


def plan_that_does_not_fit():
    fits = plan_that_fits()
    return replace(
        fits,
        fits=False,
        precision="bf16",
        prediction=None,
        cost=None,
        curves=None,
        placement=(),
        fabric=None,
        summary="DeepSeek-R1 in BF16 needs 1,342 GB for its weights; 2 nodes of 8 H100 have 1,370 GB.",
        memory=memory(stage(0, 31, 83.2, 17.7), stage(1, 30, 80.6, 17.2), needed=108.0),
        alternatives=fits.alternatives[:2],
        explanations=(),
    )


def plan_of_many():
    """Sixteen alike stages on sixteen nodes, without limits or APIs."""
    fits = plan_that_fits()
    names = [f"rack{number // 8 + 1}-gpu{number:03d}.cluster.example.org" for number in range(16)]
    return replace(
        fits,
        pipeline=16,
        stages=(4,) * 16,
        gpus=128,
        nodes=16,
        deployment=None,
        workload=replace(fits.workload, ttft_limit_ms=None, tpot_limit_ms=None),
        memory=memory(*(stage(number, 4, 5.4, 2.2) for number in range(16)), needed=14.7),
        placement=tuple(
            plan.RankPlacement(number, name, tuple(range(8)), (number,), (number * 4, number * 4 + 3))
            for number, name in enumerate(names)
        ),
        cost=replace(fits.cost, break_even=()),
        curves=replace(fits.curves, cost=tuple(replace(point, api_usd=()) for point in fits.curves.cost)),
    )


class Two:
    """The answer for a description of two deployments."""

    def __init__(self):
        self.plans = (plan_that_fits(), plan_that_does_not_fit())

    def as_json(self):
        return {"cluster": "demo", "fits": False, "deployments": [each.as_json() for each in self.plans]}


def spread(middle, factor=1.3):
    return Distribution(
        100, middle * 1.05, middle, middle * factor, middle * factor * 1.6, middle * 0.8, middle * factor * 2
    )


def level(at, ttft, tpot, rate, share=1.0, errors=None):
    errors = errors or {}
    return bench.Level(
        concurrency=at,
        requests=at * 10,
        completed=at * 10 - sum(errors.values()),
        errors=errors,
        error_examples=dict.fromkeys(errors, "The engine is overloaded, please retry later"),
        seconds=at * 10240 / rate,
        complete=True,
        isl=1024.0,
        osl=1024.0,
        ttft_ms=spread(ttft),
        tpot_ms=spread(tpot, 1.1),
        itl_ms=spread(tpot, 1.2),
        e2e_ms=spread(ttft + tpot * 1023, 1.05),
        tokens_per_chunk=1.0,
        requests_per_second=rate / 1024,
        tokens_per_second=rate,
        input_tokens_per_second=rate,
        tokens_per_second_per_user=1000 / tpot,
        goodput=bench.Goodput(rate / 1024 * share, share),
        client=bench.ClientStrain(0.1, 1.0),
    )


def sweep():
    levels = (
        level(1, 180, 9.1, 108),
        level(2, 190, 9.9, 198),
        level(4, 260, 10.3, 370),
        level(8, 245, 12.5, 612),
        level(16, 286, 16.6, 930),
        level(32, 338, 23.3, 1310),
        level(64, 419, 33.0, 1844, 0.91),
        level(128, 2900, 58.0, 2090, 0.2, {"http 503": 5, "timeout": 2}),
    )

    def around(value, share):
        return bench.Interval(value, value * (1 - share), value * (1 + share), "calibrated")

    predicted = tuple(
        bench.Predicted(
            item.concurrency,
            around(item.ttft_ms.p50 * 0.9, 0.4),
            around(item.tpot_ms.p50 * 1.08, 0.15),
            around(item.tokens_per_second * 0.95, 0.2),
        )
        for item in levels
    )
    return bench.Result(
        time="2026-11-24T03:00:00+00:00",
        tool="nimctl",
        version="0.1.0",
        endpoint=bench.Endpoint("http://10.0.0.11:8000", "chat", "deepseek-r1", "r1", 0),
        setup=bench.Setup("h200-sxm", "deepseek-ai/deepseek-r1", "sglang", "v0.5.9", "fp8", 1, 8, 8, 1),
        load=bench.Ask(1024, 1024, None, None, None, 120.0),
        limits=bench.Limits(2000, 50),
        levels=levels,
        prediction=predicted,
        notes=("At concurrency 128 this machine woke the client up to 12 ms late.",),
    )


def sweep_of_one():
    return replace(sweep(), levels=sweep().levels[:1], limits=bench.Limits(), prediction=(), notes=())


def sweep_of_nothing():
    return replace(sweep(), levels=(), interrupted=True, prediction=(), notes=())
