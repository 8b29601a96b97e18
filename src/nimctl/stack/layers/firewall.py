"""Which ports of a node are for its cluster alone.

Context of its own: ``ranks`` (as in ``nim_ranks``) and ``addresses`` (of the cluster, by node).

Ray and the engines' rendezvous have no authentication, and listen on ports that they choose themselves. They
do so by TCP, therefore the declared range is closed to TCP connections from outside only: VPNs and overlay
networks, which use UDP there, go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nimctl.description.document import Firewall
from nimctl.description.syntax import parse_duration
from nimctl.stack.plan import LayerPlan, Question

LAYER = "firewall"
RAY_WORKERS = "10002-19999"
"""Where Ray's workers listen unless told otherwise. Source: Ray documentation, `ray start`, --min-worker-port
and --max-worker-port."""


def plan(question: Question) -> LayerPlan:
    """What is closed on a host. A node without ranks has nothing to protect, and no table."""
    settings: Firewall = question.settings
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    ranks = list(question.context.get("ranks") or [])
    if not ranks:
        return LayerPlan(LAYER, {"steps": "remove" if settings.mode == "managed" else "ignore"})
    values = {"steps": settings.mode, **wanted(settings, ranks, question.context["addresses"])}
    return LayerPlan(LAYER, values, notes=_notes(settings))


def wanted(
    settings: Firewall, ranks: Iterable[Mapping[str, Any]], addresses: Mapping[str, Iterable[str]]
) -> dict[str, Any]:
    """The arguments of the module ``firewall`` that settings, ranks and nodes decide."""
    api: set[int] = set()
    closed: set[int] = set()
    random = {settings.ephemeral}
    for rank in ranks:
        for port in rank["ports"].values():
            (api if port == rank["api_port"] else closed).add(port)
        if _joins_ray(rank):
            random.add(RAY_WORKERS)
    found = {address for each in addresses.values() for address in each}
    return {
        "inside": sorted(found | set(settings.trusted)),
        "closed": [str(port) for port in sorted(closed - api)],
        "random": sorted(random),
        "api": [str(port) for port in sorted(api)],
        "api_allow": list(settings.api_allow),
        "open": list(settings.open),
        "confirm": parse_duration(settings.confirm),
    }


def _joins_ray(rank: Mapping[str, Any]) -> bool:
    return "ray" in rank["ports"] or any("ray" in word for word in rank["command"])


def _notes(settings: Firewall) -> tuple[str, ...]:
    if settings.api_allow:
        return ()
    return ("The API answers everybody who reaches the node; stack.firewall.api_allow restricts it.",)
