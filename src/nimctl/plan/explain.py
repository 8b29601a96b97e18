"""Where every number of an answer comes from: its formula, what went into it, and the source of that."""

from __future__ import annotations

from nimctl.plan import answer, memory
from nimctl.plan.choose import Candidate
from nimctl.plan.predict import COVERAGE, kv_bytes
from nimctl.plan.question import Question

GB = 1e9


def explanations(ask: Question, best: Candidate, result: answer.Plan) -> tuple[answer.Explanation, ...]:
    """One explanation for each number, in the order of the answer."""
    found = _memory(ask, best)
    if best.speed is not None and result.prediction is not None:
        found += _speed(ask, best, result.prediction)
        found += _fabric(ask, best)
    if result.cost is not None:
        found += _cost(ask, result, result.cost)
    return tuple(found)


def _memory(ask: Question, best: Candidate) -> list[answer.Explanation]:
    model, form, split = ask.model, best.form, best.split
    limit = best.memory.stages[best.memory.limiting_stage]
    work = ask.work
    element = kv_bytes(ask, form)
    assumed = ask.assumed
    kinds = {layer.attention.kind for layer in model.layers}
    shard = (
        "by min(TP, KV heads)" if "mla" not in kinds else "by no TP (the MLA cache lies whole on each rank)"
    )
    return [
        answer.Explanation(
            "parameters",
            f"{model.parameters:,}",
            "sum over layers of attention, feed-forward and experts, and both embeddings",
            {"layers": str(len(model.layers)), "hidden": str(model.hidden), "experts": str(model.experts)},
            model.source,
        ),
        answer.Explanation(
            "weights, all",
            f"{best.memory.weights_total / GB:,.1f} GB",
            "true sizes of the tensors" if model.tensors else "parameters x bytes, embeddings in 16 bits",
            {
                "bytes of attention": f"{form.attention:.4g}",
                "bytes of dense": f"{form.dense:.4g}",
                "bytes of experts": f"{form.experts:.4g}",
            },
            form.published or model.source,
        ),
        answer.Explanation(
            f"weights, one GPU of stage {limit.stage}",
            f"{limit.weights / GB:,.1f} GB",
            "layers of the fullest stage / TP, norms and routers whole",
            {"TP": str(split.tensor), "PP": str(split.pipeline), "layers of the stage": str(limit.layers)},
            model.source,
        ),
        answer.Explanation(
            "KV cache, one GPU",
            f"{limit.kv_cache / GB:,.2f} GB",
            f"requests x tokens x bytes per token, in blocks of {memory.BLOCK}; cut {shard}, and by PP",
            {
                "requests": str(work.concurrency),
                "tokens": str(work.isl + work.osl),
                "bytes of an element": f"{element:g}",
                "bytes per token": f"{best.memory.kv_bytes_per_token:,}",
            },
            f"{model.source}; element: --kv-precision, or what engines choose (planning.yml, kv)",
        ),
        answer.Explanation(
            "activations and overhead",
            f"{limit.activations / GB:,.2f} + {limit.overhead / GB:,.2f} GB",
            "constant for each GPU",
            {"GPUs": str(split.gpus), "experts": str(model.experts)},
            assumed.source,
        ),
        answer.Explanation(
            "capacity of a GPU",
            f"{limit.capacity / GB:,.1f} GB",
            "memory x utilization",
            {"memory": f"{ask.gpu.memory / GB:.1f} GB", "utilization": f"{assumed.utilization:g}"},
            ask.gpu.source,
        ),
    ]


def _speed(ask: Question, best: Candidate, shown: answer.Prediction) -> list[answer.Explanation]:
    speed = best.speed
    assert speed is not None
    factors = speed.factors
    fitted = (
        f"factors fitted {ask.calibration.date} on {ask.calibration.rows:,} rows: {ask.calibration.source}"
    )
    gpu = ask.gpu
    form, peak = gpu.compute(best.form.compute)
    step = ", ".join(f"{name} {value:.2f}" for name, value in shown.step_ms.items())
    ends = (
        f"{COVERAGE:.0%} of held-out rows lie within"
        if shown.tpot_ms.coverage
        else "wider than that of held-out rows, because none is like it"
    )
    case = speed.case.facts
    return [
        answer.Explanation(
            "one decode step",
            f"{sum(shown.step_ms.values()):.2f} ms ({step})",
            "((W/BW e_w)^3 + (F/peak e_f)^3)^(1/3) + KV/(BW e_kv) + t_0 + L t_layer + L_moe "
            "t_moe + B t_seq + "
            "R (alpha + bytes/(link e_link)) + between nodes",
            {
                "BW": f"{gpu.bandwidth / GB:,.0f} GB/s",
                "peak": f"{peak / 1e12:,.0f} TFLOPS {form}",
                "link": f"{gpu.link / GB:,.0f} GB/s",
                "e_w": f"{factors['etaw']:.3f}",
                "e_f": f"{factors['mfud']:.3f}",
                "e_kv": f"{factors['etakv']:.3f}",
                "t_0": f"{factors['t0'] * 1e6:.0f} us",
                "t_layer": f"{factors['tl'] * 1e6:.1f} us",
                "t_moe": f"{factors['tmoe'] * 1e6:.1f} us",
                "t_seq": f"{factors['tseq'] * 1e6:.1f} us",
                "alpha": f"{factors['al'] * 1e6:.1f} us",
                "e_link": f"{factors['ble']:.3f}",
                "skew of experts": f"{factors['skew']:.2f}",
            },
            f"GPU: {gpu.source}; {fitted}",
        ),
        answer.Explanation(
            "TPOT",
            f"{shown.tpot_ms.value:.2f} ms ({shown.tpot_ms.low:.2f} to {shown.tpot_ms.high:.2f}, {ends})",
            "(step(B phi) + f (B phi - 1)/OSL (T_prefill + t_p)) x m, phi = OSL TPOT / (OSL TPOT + TTFT)",
            {
                "B": str(speed.concurrency),
                "OSL": str(ask.work.osl),
                "f": f"{factors['f']:.3f}",
                "t_p": f"{factors['tpf'] * 1e3:.2f} ms",
                "m": f"{factors['mult']:.3f}",
            },
            f"{shown.tpot_ms.origin}: {shown.tpot_ms.basis}",
        ),
        answer.Explanation(
            "TTFT",
            f"{shown.ttft_ms.value:.1f} ms ({shown.ttft_ms.low:.1f} to {shown.ttft_ms.high:.1f}); "
            f"{shown.ttft_unloaded_ms.value:.1f} ms alone",
            "(a_0 + T_prefill (1 + h (B-1)^g) + k TPOT + queue + s OSL TPOT / B) x m, "
            "T_prefill = FLOPs / (peak MFU)",
            {
                "ISL": str(ask.work.isl),
                "MFU": f"{factors['mfup']:.3f}",
                "a_0": f"{factors['a0'] * 1e3:.1f} ms",
                "h": f"{factors['h']:.3f}",
                "g": f"{factors['ga']:.3f}",
                "k": f"{factors['ks']:.3f}",
                "s": f"{factors['slot']:.3f}",
                "m": f"{factors['mult2']:.3f}",
                "places in the cache": f"{case.capacity:,.0f}",
            },
            f"{shown.ttft_ms.origin}: {shown.ttft_ms.basis}",
        ),
        answer.Explanation(
            "tokens per second",
            f"{shown.tokens_per_second.value:,.0f} in all, "
            f"{shown.tokens_per_second_per_user.value:.1f} per user",
            "B OSL / (TTFT + OSL TPOT); 1 / TPOT per user",
            {"B": str(speed.concurrency), "OSL": str(ask.work.osl)},
            "TTFT and TPOT above",
        ),
    ]


def _fabric(ask: Question, best: Candidate) -> list[answer.Explanation]:
    speed, net = best.speed, ask.fabric
    if speed is None or net is None:
        return []
    return [
        answer.Explanation(
            "share of a step between nodes",
            f"{speed.share:.2%}, {speed.verdict}",
            "tensor groups over N nodes: 2 L (alpha + 2 (N-1)/N bytes / node bandwidth); each "
            "pipeline boundary: "
            "hop + bytes / bandwidth; divided by the step. More than 10 % is degraded, more "
            "than 30 % unviable",
            {
                "ports": str(net.ports),
                "rate": f"{net.gbps:g} Gb/s",
                "node bandwidth": f"{net.node / GB:.1f} GB/s",
                "alpha": f"{net.latency * 1e6:.0f} us ({net.latency_low * 1e6:.0f} to "
                f"{net.latency_high * 1e6:.0f})",
                "hop": f"{net.hop * 1e6:.0f} us",
            },
            f"analytic, no measured row spans nodes; {net.source}",
        )
    ]


def _cost(ask: Question, result: answer.Plan, cost: answer.Cost) -> list[answer.Explanation]:
    found = [
        answer.Explanation(
            "cost",
            f"${cost.usd_per_hour:,.2f} an hour, ${cost.usd_per_month:,.0f} a month",
            "GPUs x (price + licence); a month has 730 hours",
            {
                "GPUs": str(result.gpus),
                "GPU": f"${cost.gpu_usd_per_hour / result.gpus:.2f}/h",
                "licence": f"${cost.licence_usd_per_hour / result.gpus:.2f}/h",
            },
            f"{cost.source}{f', as of {cost.as_of}' if cost.as_of else ''}",
        )
    ]
    if cost.usd_per_million_out is not None:
        found.append(
            answer.Explanation(
                "cost of a million tokens",
                f"${cost.usd_per_million_out:,.2f} of output, "
                f"${cost.usd_per_million_blended or 0:,.2f} of all",
                "cost per hour / (tokens/s x 3600) x 10^6, at full load",
                {"tokens/s": f"{cost.usd_per_hour / cost.usd_per_million_out / 3600 * 1e6:,.0f}"},
                "the prediction above",
            )
        )
    for entry in cost.break_even:
        found.append(
            answer.Explanation(
                f"break-even with {entry.api}",
                f"{entry.tokens_per_month / 1e6:,.0f} million tokens a month"
                if entry.tokens_per_month
                else "never",
                "cost per month / price of its tokens; must not exceed what the replica can serve in a month",
                {
                    "price of a million": f"${entry.usd_per_million_blended:.3f} "
                    f"(${entry.usd_per_million_in:g} in, ${entry.usd_per_million_out:g} out)",
                    "capacity": f"{entry.capacity_tokens_per_month / 1e6:,.0f} million a month",
                },
                entry.source,
            )
        )
    return found
