"""Call the planner of a layer until it has all that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

from nimctl.description import document
from nimctl.stack import versions
from nimctl.stack.host import Host
from nimctl.stack.layers import LAYERS
from nimctl.stack.plan import AskError, LayerPlan, Offers, Question, RefusedError, Repository
from nimctl.stack.versions import Versions

Ask = Callable[[Repository, tuple[str, ...]], Mapping[str, list[str]]]
"""Finds on the host which versions a repository offers of packages, newest first."""

SETTINGS: Mapping[str, type[BaseModel]] = {
    "tuning": document.Tuning,
    "rdma": document.Rdma,
    "driver": document.Driver,
    "fabric_manager": document.FabricManager,
    "container_toolkit": document.ContainerToolkit,
    "gpu_direct": document.GpuDirect,
    "nccl": document.Nccl,
    "firewall": document.Firewall,
}
"""The model of each layer's settings; storage layers take a list of ``document.Storage`` as ``entries``."""


def settings_of(layer: str, given: Mapping[str, Any]) -> Any:
    """The settings of a layer as its model. Raises RefusedError with all that is wrong with them."""
    try:
        if layer in SETTINGS:
            return SETTINGS[layer].model_validate({k: v for k, v in given.items() if v not in (None, "")})
        return tuple(document.Storage.model_validate(entry) for entry in given.get("entries", []))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()
        )
        raise RefusedError(f"{layer}: the settings are wrong: {wrong}") from error


def ask_until_planned(
    layer: str,
    probed: Mapping[str, Any],
    given: Mapping[str, Any],
    context: Mapping[str, Any],
    ask: Ask,
    *,
    plans: Mapping[str, LayerPlan] | None = None,
    tables: Versions | None = None,
) -> LayerPlan:
    """The plan of one layer on one host, where ``plans`` has those before it. Raises RefusedError."""
    if layer not in LAYERS:
        raise RefusedError(f"found the layer {layer!r}, expected one of {', '.join(LAYERS)}")
    planner = import_module(f"nimctl.stack.layers.{layer}")
    host = Host.from_probe(probed)
    settings = settings_of(layer, given)
    known: dict[str, dict[str, list[str]]] = {}
    while True:
        try:
            question = Question(
                host, settings, Offers(known), context, plans or {}, tables or versions.load()
            )
            plan: LayerPlan = planner.plan(question)
        except AskError as unknown:
            found = ask(unknown.repository, unknown.names)
            answers = known.setdefault(unknown.repository.id, {})
            # A name that was not answered has no version, so that no planner asks for it twice.
            answers.update({name: list(found.get(name, [])) for name in unknown.names})
        else:
            return plan
