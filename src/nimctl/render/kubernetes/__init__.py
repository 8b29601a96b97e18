"""Kubernetes: LeaderWorkerSets, or services of the NIM operator, as a tree that kustomize takes."""

from __future__ import annotations

from typing import Literal

from nimctl.errors import RejectedError
from nimctl.placement import Placement
from nimctl.render.kubernetes import kustomize, leaderworkerset, nimservice, notes
from nimctl.render.kubernetes.site import Site
from nimctl.resolve import check_runnable

__all__ = ["Flavor", "flavors", "render"]

Flavor = Literal["lws", "nimservice"]
flavors: tuple[Flavor, ...] = ("lws", "nimservice")


def render(placement: Placement, flavor: Flavor = "lws") -> dict[str, str]:
    """Every file by path; the placement was read with ``nimctl.render.kubernetes.site.spelling``.

    Raises:
        RejectedError: something of the placement cannot be said in this flavour.
    """
    if flavor not in flavors:
        raise RejectedError(f"--flavor {flavor} is not known; it is {' or '.join(flavors)}")
    site = Site.of(placement)
    if flavor == "nimservice":
        folders, shared = nimservice.objects(placement, site)
    else:
        check_runnable(placement)
        folders, shared = leaderworkerset.objects(placement, site)
    return kustomize.tree(placement.cluster.name, site.namespace, folders, shared, notes.head(flavor))
