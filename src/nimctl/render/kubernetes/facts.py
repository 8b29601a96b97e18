"""What manifests need besides the description: ``data/kubernetes.yml``, typed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MinimumRelease(_Strict):
    """The oldest release that has what is rendered."""

    minimum: str
    why: str
    source: str


class NimOperator(_Strict):
    """What k8s-nim-operator decides by itself."""

    environment: list[str]
    store: str
    source: str


class Facts(_Strict):
    """The whole file."""

    gpu_products: dict[str, str]
    gpu_products_source: str
    csi_drivers: dict[str, str]
    csi_drivers_source: str
    rdma_resources: dict[str, str]
    rdma_resources_source: str
    leaderworkerset: MinimumRelease
    nim_operator: NimOperator


@cache
def facts() -> Facts:
    """The facts, read once."""
    text = (files("nimctl") / "data" / "kubernetes.yml").read_text("utf-8")
    return Facts.model_validate(yaml.safe_load(text))
