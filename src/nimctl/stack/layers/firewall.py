"""Which ports of a node are for its cluster alone.

Context of its own: ``cluster`` (its name), ``ranks`` (as in ``nim_ranks``), ``addresses`` (of the cluster,
by node) and ``rules`` (of nft, in addition).

Ray and the engines' rendezvous have no authentication, and listen on ports that they choose themselves. They
do so by TCP, therefore the declared range is closed to TCP connections from outside only: VPNs and overlay
networks, which use UDP there, go on.
"""

from __future__ import annotations

import hashlib
import json
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
    context = question.context
    rules = list(context.get("rules") or [])
    values = {"steps": settings.mode, **wanted(settings, ranks, context["addresses"], rules)}
    here = question.host.firewall.get(str(context.get("cluster") or ""))
    # Rules that are only checked may be somebody else's: the check itself compares what the kernel has.
    same = here == values["mark"] or settings.mode == "verify"
    will = () if same else (_will(values, here),)
    return LayerPlan(LAYER, values, will, notes=_notes(settings))


def _will(values: Mapping[str, Any], here: str | None) -> str:
    """What a run would load, as far as the probe can tell: it reads what was written, and asks no kernel."""
    ports = ", ".join([*values["closed"], *values["random"]])
    if here is None:
        return f"close ports {ports} to all but the cluster"
    return f"load other firewall rules (closed to all but {len(values['inside'])} addresses: {ports})"


def wanted(
    settings: Firewall,
    ranks: Iterable[Mapping[str, Any]],
    addresses: Mapping[str, Iterable[str]],
    rules: Iterable[str] = (),
) -> dict[str, Any]:
    """The arguments of the module ``firewall`` that settings, ranks and nodes decide.

    ``mark`` differs wherever the others, or ``rules``, do: it is how a plan knows what was loaded.
    """
    api: set[int] = set()
    closed: set[int] = set()
    random = {settings.ephemeral}
    for rank in ranks:
        for port in rank["ports"].values():
            (api if port == rank["api_port"] else closed).add(port)
        if supervisor := rank.get("supervision", {}).get("port"):
            closed.add(supervisor)
        if _joins_ray(rank):
            random.add(RAY_WORKERS)
    found = {address for each in addresses.values() for address in each}
    loaded = {
        "inside": sorted(found | set(settings.trusted)),
        "closed": [str(port) for port in sorted(closed - api)],
        "random": sorted(random),
        "api": [str(port) for port in sorted(api)],
        "api_allow": list(settings.api_allow),
        "open": list(settings.open),
    }
    mark = hashlib.sha256(json.dumps([loaded, list(rules)], sort_keys=True).encode()).hexdigest()[:16]
    return {**loaded, "confirm": parse_duration(settings.confirm), "mark": mark}


def _joins_ray(rank: Mapping[str, Any]) -> bool:
    return "ray" in rank["ports"] or any("ray" in word for word in rank["command"])


def _notes(settings: Firewall) -> tuple[str, ...]:
    if settings.api_allow:
        return ()
    return ("The API answers everybody who reaches the node; stack.firewall.api_allow restricts it.",)
