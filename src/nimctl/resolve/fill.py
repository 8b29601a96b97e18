"""What a deployment leaves open about its split, filled in by the planner.

Pure, like everything here: the planner's shipped tables are data like the shipped contracts. What was filled
in is locked, so that neither a further node nor a new nimctl changes how a running replica is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nimctl.cluster import Cluster, Node
from nimctl.description.document import Deployment, Parallel
from nimctl.description.nodeset import NodeSetError, expand
from nimctl.errors import RejectedError
from nimctl.lock import Lock, PlannedSplit

_MOST = 32
"""Nodes of one replica that are looked at, of a cluster that may have thousands."""


class Filled:
    """A cluster whose deployments say how they are split, what was filled in for which, and remarks on it."""

    def __init__(self, cluster: Cluster, lock: Lock, free: Sequence[Node]) -> None:
        self.planned: dict[str, PlannedSplit] = {}
        self.notes: list[str] = []
        self._lock = lock
        self._free = [node for node in free if node.gpu_count and node.gpu_model]
        self._by_name = {node.name: node for node in cluster.nodes}
        self._known: dict[tuple[object, ...], PlannedSplit | None] = {}
        done = tuple(self._fill(one) for one in cluster.deployments)
        self.cluster = replace(cluster, deployments=done) if self.planned else cluster

    def _fill(self, one: Deployment) -> Deployment:
        if one.parallel.tensor or one.parallel.pipeline or one.gpus or one.engine == "rehearsal":
            return one
        split = self._lock.planned.get(one.name)
        if split is None:
            if one.name in self._lock.placement:
                return one  # placed before anything was planned: it stays as it is
            split = self._plan(one)
            if split is None:
                return one
            self.notes.append(f"deployment {one.name}: planned {split} (`nimctl plan` says why)")
        self.planned[one.name] = split
        parallel = Parallel(
            tensor=split.tensor, pipeline=split.pipeline, across_nodes=one.parallel.across_nodes
        )
        precision = one.precision or split.precision or None
        return one.model_copy(update={"parallel": parallel, "precision": precision})

    def _plan(self, one: Deployment) -> PlannedSplit | None:
        """The planner's choice; None where it knows the model or the GPU not, or where nothing fits."""
        nodes, given = self._nodes(one)
        if not nodes:
            return None
        first = nodes[0]
        fabric = (first.fabric.kind, first.fabric.rate, first.fabric.ports) if first.fabric else None
        asked = (one.model, one.engine, one.profile, one.precision, one.parallel.across_nodes)
        key = (*asked, first.gpu_model, first.gpu_count, fabric, len(nodes), given)
        if key not in self._known:
            self._known[key] = _choose(one, nodes, given)
        return self._known[key]

    def _nodes(self, one: Deployment) -> tuple[list[Node], bool]:
        """The nodes that a replica has or may have, and whether it has to take all of them."""
        if one.hosts is None:
            if not self._free:
                return [], False
            first = self._free[0]
            alike = [
                node
                for node in self._free
                if (node.gpu_model, node.gpu_count) == (first.gpu_model, first.gpu_count)
            ]
            return alike[: min(_MOST, max(1, len(alike) // one.replicas))], False
        try:
            names = expand(one.hosts)
        except NodeSetError:
            return [], True  # said better where the hosts are read
        nodes = [self._by_name[name] for name in names if name in self._by_name]
        if not nodes or len(nodes) % one.replicas or len({(n.gpu_model, n.gpu_count) for n in nodes}) > 1:
            return [], True
        if not nodes[0].gpu_count or nodes[0].gpu_model is None:
            return [], True
        return nodes[: len(nodes) // one.replicas], True


def _choose(one: Deployment, nodes: Sequence[Node], given: bool) -> PlannedSplit | None:
    # Imported here: most descriptions say how they are split, or have it locked.
    from nimctl.plan.ask import Options
    from nimctl.plan.catalogue import Catalogue
    from nimctl.plan.choose import Candidate, choose
    from nimctl.plan.described import asked_of

    def usable(candidate: Candidate) -> bool:
        group = candidate.split.tensor
        if group > nodes[0].gpu_count and not one.parallel.across_nodes:
            return False
        # Given nodes are filled as people expect: tensor parallel in each, pipeline between them.
        if given and len(nodes) > 1:
            whole = nodes[0].gpu_count
            return group % whole == 0 and candidate.split.gpus == whole * len(nodes)
        taken = -(-candidate.split.gpus // nodes[0].gpu_count)
        return taken == len(nodes) if given else True

    try:
        ask = asked_of(Options(), one, list(nodes), Catalogue(), None)
        choice = choose(ask)
    except RejectedError:
        return None
    fitting = [candidate for candidate in (choice.best, *choice.others) if candidate.fits]
    # Engines take experts whole only when `args` say so; a description has no word for it.
    plain = [candidate for candidate in fitting if candidate.split.expert == 1 and usable(candidate)]
    if not plain:
        return None
    best = plain[0]
    own = ask.model.formats[0].name
    asked = one.precision is None and best.form.name != own and best.form.name in ("fp8", "bf16")
    return PlannedSplit(best.split.tensor, best.split.pipeline, best.form.name if asked else "")
