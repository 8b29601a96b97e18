"""The contract of the rehearsal engine itself: everything by REHEARSAL_* variables."""

from __future__ import annotations

from collections.abc import Mapping

from ..launch import Dialect, Launch
from ..settings import VARIABLES, Settings
from .variables import Variables

DIALECT = Dialect(
    live=("/v1/health/live",), ready=("/v1/health/ready", "/health"), metrics=("/v1/metrics", "/metrics")
)
_OWN = frozenset(
    f"REHEARSAL_{name}"
    for name in (
        "RANK", "NODES", "LEADER", "ADDRESS", "RENDEZVOUS_PORT", "TENSOR", "PIPELINE", "PORT", "SERVED_NAME",
        "MODEL", "CONTRACT",
    )
)  # fmt: skip


def read(environment: Mapping[str, str]) -> Launch:
    """Read the variables of a rank; without any it is a model on one node."""
    variables = Variables(environment)
    variables.unknown("REHEARSAL_", _OWN | VARIABLES, "no variable of the rehearsal engine")
    nodes = variables.number("REHEARSAL_NODES", 1, 1024, 1)
    rank, leader, tensor, pipeline = 0, "127.0.0.1", 1, nodes
    if nodes > 1:
        rank = variables.need_number(
            "REHEARSAL_RANK", 0, nodes - 1, f"every rank of {nodes} nodes has a number"
        )
        leader = variables.need("REHEARSAL_LEADER", "the ranks meet at the address of rank 0")
        leader = variables.address("REHEARSAL_LEADER", leader)
    else:
        rank = variables.number("REHEARSAL_RANK", 0, 0, 0)
    tensor = variables.number("REHEARSAL_TENSOR", 1, 1024, tensor)
    pipeline = variables.number("REHEARSAL_PIPELINE", 1, 1024, max(1, nodes // tensor))
    model = variables.text("REHEARSAL_MODEL", "rehearsal")
    port = variables.port("REHEARSAL_PORT", 8000)
    rendezvous = variables.port("REHEARSAL_RENDEZVOUS_PORT", 29600)
    variables.check()
    return Launch(
        contract="rehearsal",
        dialect=DIALECT,
        settings=Settings.read(environment),
        rank=rank,
        nodes=nodes,
        tensor=tensor,
        pipeline=pipeline,
        leader=leader,
        rendezvous_port=rendezvous,
        model=model,
        served=tuple(variables.text("REHEARSAL_SERVED_NAME", model).split(",")),
        port=port,
        address=variables.text("REHEARSAL_ADDRESS"),
        warnings=tuple(variables.warnings),
    )
