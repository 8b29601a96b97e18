"""From a question to the whole answer."""

from __future__ import annotations

from dataclasses import replace

from nimctl.plan import answer, memory, predict
from nimctl.plan import cost as costs
from nimctl.plan.alternatives import alternatives
from nimctl.plan.choose import Candidate, Choice, choose, name, shortfall
from nimctl.plan.explain import explanations
from nimctl.plan.networks import network_table
from nimctl.plan.question import Question


def plan(ask: Question, explain: bool = False) -> answer.Plan:
    """Answer a question. Raises RejectedError where it makes no sense."""
    ask.check()
    choice = choose(ask)
    best = choice.best
    found = best.speed
    predicted = predict.prediction(ask, best.form, best.split, found) if found else None
    cost = _cost(ask, best) if found else None
    result = answer.Plan(
        best.fits,
        _summary(ask, choice),
        ask.deployment,
        _model(ask),
        _cluster(ask),
        ask.work,
        ask.engine,
        best.form.name,
        "fp8" if predict.kv_bytes(ask, best.form) == 1 else "bf16",
        best.split.tensor,
        best.split.pipeline,
        best.split.expert,
        best.split.data,
        -(-best.split.gpus // ask.gpus_per_node),
        best.split.gpus,
        memory.stages(len(ask.model.layers), best.split.pipeline),
        best.memory,
        _placement(ask, best) if best.fits else (),
        predicted,
        _fabric(ask, best),
        cost,
        alternatives(ask, choice),
        _reasons(ask, choice),
        _notes(ask, best, cost is None and best.fits),
        _curves(ask, best, cost) if found else None,
    )
    return replace(result, explanations=explanations(ask, best, result)) if explain else result


def _model(ask: Question) -> answer.ModelAnswer:
    model = ask.model
    return answer.ModelAnswer(
        model.id,
        model.name,
        model.parameters,
        model.active,
        len(model.layers),
        model.experts,
        model.context,
        model.attention,
        tuple(form.name for form in model.formats),
        model.source,
    )


def _cluster(ask: Question) -> answer.ClusterAnswer:
    port = None
    if ask.fabric:
        net = ask.fabric
        port = answer.FabricPort(
            net.kind, net.rate, net.ports, net.gbps, net.per_gpu(ask.gpus_per_node) / 1e9, net.source
        )
    return answer.ClusterAnswer(
        ask.gpu.name, ask.gpu.description, ask.nodes, ask.gpus_per_node, ask.gpu.memory, port, ask.gpu.source
    )


def _placement(ask: Question, best: Candidate) -> tuple[answer.RankPlacement, ...]:
    split, per_node = best.split, ask.gpus_per_node
    lengths = memory.stages(len(ask.model.layers), split.pipeline)
    starts = [sum(lengths[:stage]) for stage in range(len(lengths) + 1)]
    nodes = -(-split.gpus // per_node)
    used = split.gpus // nodes
    group = split.tensor * split.data
    ranks = []
    for rank in range(nodes):
        first, last = rank * used // group, ((rank + 1) * used - 1) // group
        ranks.append(
            answer.RankPlacement(
                rank,
                ask.names[rank],
                tuple(range(used)),
                tuple(range(first, last + 1)),
                (starts[first], starts[last + 1] - 1),
            )
        )
    return tuple(ranks)


def _cost(ask: Question, best: Candidate) -> answer.Cost | None:
    price = costs.prices(ask.gpu.name, ask.engine, ask.gpu_price, ask.folder)
    if price is None or best.speed is None:
        return None
    offers = costs.offers(ask.model.id, ask.folder, ask.api_price)
    return costs.cost(best.split.gpus, price, best.speed.tokens_per_second, ask.work, offers)


def _fabric(ask: Question, best: Candidate) -> answer.FabricAnswer | None:
    table = network_table(ask, best) if ask.all_fabrics else ()
    if best.speed is None or ask.fabric is None:
        if not table:
            return None
        return answer.FabricAnswer("viable", 0.0, "the replica stays within one node", "analytic", table)
    share = best.speed.share
    split = name(best.split)
    if best.split.gpus <= ask.gpus_per_node:
        reason = f"{split} stays within one node; nothing of a token crosses the network"
    else:
        reason = f"{share:.1%} of a decode step is spent between nodes with {split} over {ask.fabric.name}"
    return answer.FabricAnswer(best.speed.verdict, share, reason, "analytic", table)


def _summary(ask: Question, choice: Choice) -> str:
    best = choice.best
    where = f"{ask.nodes} x {ask.gpus_per_node} {ask.gpu.name}"
    if best.speed is None:
        return f"{ask.model.name} in {best.form.name} does not fit {where}: {shortfall(ask, best)}"
    nodes = -(-best.split.gpus // ask.gpus_per_node)
    on = "one node" if nodes == 1 else f"{nodes} nodes"
    return (
        f"{ask.model.name} in {best.form.name} fits on {on} with {name(best.split)} "
        f"({best.split.gpus} GPUs): "
        f"{best.speed.token * 1e3:.1f} ms per token, {best.speed.tokens_per_second:,.0f} tokens/s at "
        f"{ask.work.concurrency} requests"
    )


def _reasons(ask: Question, choice: Choice) -> tuple[str, ...]:
    best = choice.best
    found = [f"not {text}" for text in choice.refused]
    if best.speed is None:
        return tuple(found)
    goal = {
        "latency": "the least time per token",
        "throughput": "the most tokens per second for each GPU",
        "gpus": "the fewest GPUs",
    }[ask.work.goal]
    tried = 1 + len(choice.others)
    given = [
        f"{option} {value}"
        for option, value in (
            ("tensor", ask.tensor),
            ("pipeline", ask.pipeline),
            ("precision", ask.precision),
        )
        if value
    ]
    if given:
        found.append(f"given: {', '.join(given)}")
    found.append(f"{name(best.split)} has {goal} of {tried} split{'s' if tried > 1 else ''} that fit")
    if choice.others:
        second = choice.others[0]
        assert second.speed is not None
        found.append(
            f"next is {name(second.split)}: {second.speed.token * 1e3:.1f} ms per token, "
            f"{second.speed.tokens_per_second:,.0f} tokens/s on {second.split.gpus} GPUs"
        )
    work = ask.work
    for what, limit, value in (
        ("TTFT", work.ttft_limit_ms, best.speed.first),
        ("TPOT", work.tpot_limit_ms, best.speed.token),
    ):
        if limit is not None:
            kept = "keeps" if value * 1e3 <= limit else "misses"
            found.append(f"{kept} the {what} of {limit:g} ms with {value * 1e3:.1f} ms")
    return tuple(found)


def _notes(ask: Question, best: Candidate, unpriced: bool) -> tuple[str, ...]:
    found = []
    if best.speed:
        kind, basis = predict.origin(ask, best.split, best.speed)
        if kind == "analytic":
            found.append(f"the speed is analytic: the split {basis}")
        if best.memory.max_concurrency < ask.work.concurrency:
            found.append("not all requests have a place in the KV cache at once")
        copies = ask.nodes * ask.gpus_per_node // best.split.gpus
        if copies > 1:
            found.append(
                f"the cluster holds {copies} such replicas; speed and cost are those of one, "
                "which serves the "
                "requests given"
            )
        if len(set(memory.stages(len(ask.model.layers), best.split.pipeline))) > 1:
            lengths = "/".join(map(str, memory.stages(len(ask.model.layers), best.split.pipeline)))
            found.append(f"{len(ask.model.layers)} layers do not divide evenly: {lengths}")
    if unpriced:
        found.append(f"the price book has no {ask.gpu.name}; give --gpu-price, or a prices.yml of your own")
    return tuple(found)


def _curves(ask: Question, best: Candidate, cost: answer.Cost | None) -> answer.Curves:
    points = sorted({1, 2, 4, 8, 16, 32, 64, 128, 256, ask.work.concurrency})
    latency = []
    for count in points:
        found = predict.measure(ask, best.form, best.split, count)
        shown = predict.prediction(ask, best.form, best.split, found)
        latency.append(
            answer.LatencyPoint(
                count,
                shown.ttft_ms.value,
                shown.ttft_ms.low,
                shown.ttft_ms.high,
                shown.tpot_ms.value,
                shown.tpot_ms.low,
                shown.tpot_ms.high,
                found.tokens_per_second,
                count <= best.memory.max_concurrency,
            )
        )
    capacity = 0.0
    if best.speed:
        both = (ask.work.isl + ask.work.osl) / ask.work.osl
        capacity = best.speed.tokens_per_second * both * costs.HOURS * 3600
    return answer.Curves(tuple(latency), costs.curve(cost, capacity) if cost else ())
