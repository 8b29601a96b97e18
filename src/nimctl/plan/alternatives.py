"""What else could be done: another split, format, machine or model, or somebody else's machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nimctl.errors import RejectedError
from nimctl.plan import cost as costs
from nimctl.plan import memory
from nimctl.plan.answer import Alternative
from nimctl.plan.choose import Candidate, Choice, choose, name
from nimctl.plan.gpus import gpu as gpu_row
from nimctl.plan.question import Question, unsupported

OTHER_GPUS = ("h200-sxm", "b200", "h100-sxm")


def alternatives(ask: Question, choice: Choice) -> tuple[Alternative, ...]:
    """All of them: those that fit first, within them the cheaper output tokens."""
    found = [
        *_splits(ask, choice),
        *_formats(ask, choice),
        *_machines(ask, choice),
        *_smaller(ask),
        *_offload(ask, choice),
        *_apis(ask),
    ]
    return tuple(sorted(found, key=_order))


def _order(one: Alternative) -> tuple[bool, float]:
    price = one.usd_per_million_out
    return not one.fits, price if price is not None else float("inf")


def _of(ask: Question, candidate: Candidate, kind: str, title: str, reason: str) -> Alternative:
    speed = candidate.speed
    gpus = candidate.split.gpus
    price = costs.prices(ask.gpu.name, ask.engine, ask.gpu_price if kind != "hardware" else None, ask.folder)
    hour = gpus * (price.gpu + price.licence) if price and candidate.fits else None
    rate = speed.tokens_per_second if speed else None
    return Alternative(
        kind,  # type: ignore[arg-type]
        title,
        reason,
        candidate.fits,
        ask.model.id,
        ask.gpu.name,
        -(-gpus // ask.gpus_per_node),
        gpus,
        candidate.split.tensor,
        candidate.split.pipeline,
        candidate.form.name,
        speed.first * 1e3 if speed else None,
        speed.token * 1e3 if speed else None,
        rate,
        hour,
        hour / (rate * 3600) * 1e6 if hour is not None and rate else None,
    )


def _against(candidate: Candidate, best: Candidate) -> str:
    """How a candidate compares, in a sentence."""
    if candidate.speed is None or best.speed is None:
        return "fits where what was asked for does not" if candidate.fits else "does not fit"
    token, ours = candidate.speed.token * 1e3, best.speed.token * 1e3
    rate = candidate.speed.tokens_per_second / candidate.split.gpus
    own = best.speed.tokens_per_second / best.split.gpus
    text = (
        f"TPOT {token:.1f} ms against {ours:.1f} ms, {rate:.0f} against {own:.0f} tokens/s for each GPU, on "
        f"{candidate.split.gpus} against {best.split.gpus} GPUs"
    )
    if candidate.speed.verdict != "viable":
        text += f"; {candidate.speed.share:.0%} of a step between nodes: {candidate.speed.verdict}"
    return text


def _splits(ask: Question, choice: Choice) -> Iterator[Alternative]:
    """The best other splits, one for each number of GPUs at first."""
    seen: set[int] = set()
    for candidate in choice.others:
        if candidate.split.gpus not in seen and len(seen) < 4:
            seen.add(candidate.split.gpus)
            yield _of(ask, candidate, "split", candidate.title, _against(candidate, choice.best))


def _free(ask: Question) -> Question:
    """The question without what was said about the split and without the network table."""
    return replace(ask, tensor=0, pipeline=0, all_fabrics=False)


def _best(ask: Question) -> Choice | None:
    try:
        return choose(ask)
    except RejectedError:
        return None


def _formats(ask: Question, choice: Choice) -> Iterator[Alternative]:
    for form in ask.model.formats:
        if form.name == choice.best.form.name or unsupported(form, ask.gpu):
            continue
        found = _best(replace(_free(ask), precision=form.name))
        if found is None:
            continue
        less = form.experts < choice.best.form.experts
        if not found.best.fits and not less:
            continue
        title = f"{form.name} instead of {choice.best.form.name}: {name(found.best.split)}"
        published = f"; {form.published}" if form.published else ""
        yield _of(ask, found.best, "quantize", title, _against(found.best, choice.best) + published)


def _machines(ask: Question, choice: Choice) -> Iterator[Alternative]:
    """More nodes of the same kind where it does not fit; another GPU in any case."""
    if not choice.best.fits:
        for nodes in (2, 4, 8, 16):
            if nodes <= ask.nodes or ask.fabric is None:
                continue
            more = replace(_free(ask), nodes=nodes, node_names=())
            found = _best(more)
            if found and found.best.fits:
                title = f"{nodes} nodes: {found.best.title}"
                yield _of(more, found.best, "gpus", title, _against(found.best, choice.best))
                break
    for other in OTHER_GPUS:
        if other == ask.gpu.name:
            continue
        changed = replace(_free(ask), gpu=gpu_row(other, ask.folder), precision="", gpu_price=None)
        found = _best(changed)
        if found and (found.best.fits or not choice.best.fits):
            title = f"{found.best.split.gpus} x {other}: {found.best.title}"
            yield _of(changed, found.best, "hardware", title, _against(found.best, choice.best))


def _smaller(ask: Question) -> Iterator[Alternative]:
    for other in ask.model.distilled[:2]:
        model, _ = ask.catalogue.find(other)
        changed = replace(_free(ask), model=model, precision="")
        found = _best(changed)
        if found and found.best.fits:
            title = f"{model.name}: {found.best.title}"
            yield _of(
                changed, found.best, "distilled", title, "a smaller model: what it answers is not the same"
            )


def _offload(ask: Question, choice: Choice) -> Iterator[Alternative]:
    """Experts in the hosts' memory: possible, and how slow, by the link to the host."""
    best = choice.best
    if not ask.model.experts or best.fits:
        return
    experts = sum(layer.mlp.expert * layer.mlp.experts * best.form.experts for layer in ask.model.layers)
    active = sum(layer.mlp.expert * layer.mlp.per_token * best.form.experts for layer in ask.model.layers)
    link = 64e9
    gpus = ask.nodes * ask.gpus_per_node
    rest = memory.weights_total(ask.model, best.form) - experts
    fits = rest / gpus < 0.5 * ask.gpu.memory
    token = active / link / min(gpus, 8) * 1e3
    yield Alternative(
        "offload",
        "experts in host memory",
        f"{experts / 1e9:,.0f} GB of experts in RAM; a single request waits at least "
        f"{token:.0f} ms a token for "
        "them over PCIe 5 (64 GB/s for each GPU), analytic and a lower bound; NIM does not offer it",
        fits,
        ask.model.id,
        ask.gpu.name,
        ask.nodes,
        gpus,
        None,
        None,
        best.form.name,
        None,
        token,
        None,
        None,
        None,
    )


def _apis(ask: Question) -> Iterator[Alternative]:
    for offer in costs.offers(ask.model.id, ask.folder, ask.api_price):
        note = f"; {offer.note}" if offer.note else ""
        yield Alternative(
            "api",
            offer.name,
            f"${offer.usd_in:g} and ${offer.usd_out:g} for a million tokens in and out, nothing to run, no "
            f"control over where the data goes{note} ({offer.source})",
            True,
            ask.model.id,
            "",
            0,
            0,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            offer.usd_out,
        )
