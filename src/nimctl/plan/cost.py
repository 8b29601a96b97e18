"""What it costs: per hour, month and million tokens, and from which load on it is cheaper than an API."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.plan import answer, tables

HOURS = 730
"""Of a month."""
_SECONDS = HOURS * 3600


@dataclass(frozen=True, slots=True)
class Prices:
    """Per GPU and hour; the licence is 0 for engines that need none."""

    gpu: float
    licence: float
    as_of: str
    source: str


def prices(gpu: str, engine: str, own: float | None = None, folder: Path | None = None) -> Prices | None:
    """The prices of a GPU, None where the price book has none; ``own`` takes the place of its price."""
    book = tables.rows("prices", folder)
    found = book["gpus"].mapping("usd_per_hour").get(gpu)
    licence_row = book["licence"]
    licence = 0.0
    if engine in licence_row.texts("engines"):
        licence = licence_row.number("usd_per_gpu_year") / (12 * HOURS)
    source = licence_row.text("source") if licence else ""
    if own is not None:
        return Prices(own, licence, "", "; ".join(filter(None, ("given with --gpu-price", source))))
    if found is None:
        return None
    row = tables.Row(f"gpus.usd_per_hour.{gpu}", book["gpus"].file, found)
    book_source = "; ".join(filter(None, (" ".join(book["gpus"].text("source").split()), source)))
    return Prices(row.number("take"), licence, str(book["gpus"].data.get("as_of", "")), book_source)


@dataclass(frozen=True, slots=True)
class Offer:
    """What an API takes for a million tokens."""

    name: str
    usd_in: float
    usd_out: float
    note: str
    source: str


def offers(model: str, folder: Path | None = None, own: tuple[float, float] | None = None) -> list[Offer]:
    """The APIs that offer a model or its equivalent; ``own`` is one that the user names."""
    row = tables.rows("prices", folder)["apis"]
    found = [Offer("your API", own[0], own[1], "", "given with --api-price")] if own else []
    for item in row.rows("offers"):
        if model in item.texts("models"):
            found.append(
                Offer(
                    item.text("name"),
                    item.number("usd_in"),
                    item.number("usd_out"),
                    item.text("note", ""),
                    row.text("source"),
                )
            )
    return found


def own_price(text: str) -> tuple[float, float]:
    """``IN/OUT`` in dollars per million tokens. Raises RejectedError."""
    try:
        usd_in, usd_out = (float(part) for part in text.split("/"))
    except ValueError:
        usd_in = usd_out = -1.0
    if not (0 <= usd_in < 1e6 and 0 < usd_out < 1e6):
        raise RejectedError(
            f"--api-price {text}: expected dollars per million tokens IN/OUT, such as 0.66/1.98"
        )
    return usd_in, usd_out


def cost(
    gpus: int,
    price: Prices,
    tokens_per_second: float,
    work: answer.Workload,
    apis: list[Offer],
    most: int = 0,
) -> answer.Cost:
    """The cost of one replica that makes so many output tokens per second; ``most`` replicas can be had."""
    hour = gpus * (price.gpu + price.licence)
    month = hour * HOURS
    both = (work.isl + work.osl) / work.osl
    capacity = tokens_per_second * both * _SECONDS
    per_out = hour / (tokens_per_second * 3600) * 1e6 if tokens_per_second else None
    return answer.Cost(
        gpus * price.gpu,
        gpus * price.licence,
        hour,
        month,
        per_out,
        per_out / both if per_out else None,
        price.as_of,
        price.source,
        tuple(_break_even(offer, month, capacity, work, most) for offer in apis),
    )


def _break_even(
    offer: Offer, month: float, capacity: float, work: answer.Workload, most: int
) -> answer.BreakEven:
    """The smallest load from which whole replicas cost no more than the API."""
    blended = (work.isl * offer.usd_in + work.osl * offer.usd_out) / (work.isl + work.osl)
    known = (offer.name, offer.usd_in, offer.usd_out, blended)
    note = f"; {offer.note}" if offer.note else ""
    one = month / blended * 1e6
    if one <= capacity:
        reason = f"one replica is paid for at {one / capacity:.0%} of its capacity{note}"
        return answer.BreakEven(*known, one, 1, capacity, True, reason, offer.source)
    # Every further replica costs as much as the first and serves as much: if one full replica is dearer than
    # the API, so are ten.
    reason = (
        f"never: a month of one replica buys {one / 1e6:,.0f} million tokens there, and it can serve only "
        f"{capacity / 1e6:,.0f} million{note}"
    )
    return answer.BreakEven(*known, None, None, capacity, False, reason, offer.source)


def curve(found: answer.Cost, capacity: float, points: int = 24) -> tuple[answer.CostPoint, ...]:
    """Cost against load, from little to four full replicas."""
    if capacity <= 0:
        return ()
    loads = sorted(
        {capacity * 4 * number / points for number in range(1, points + 1)}
        | {entry.tokens_per_month for entry in found.break_even if entry.tokens_per_month}
    )
    return tuple(
        answer.CostPoint(
            load,
            max(1, ceil(load / capacity - 1e-9)),
            max(1, ceil(load / capacity - 1e-9)) * found.usd_per_month,
            tuple(load / 1e6 * entry.usd_per_million_blended for entry in found.break_even),
        )
        for load in loads
    )
