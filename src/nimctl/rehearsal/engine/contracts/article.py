"""`article`: the variables of the article whose two `docker run` commands the project began with.

No real image reads all of them; this engine does, so that the article can be followed word for word.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..launch import Launch
from . import nim
from .variables import Variables

_OWN = frozenset(
    f"NIM_{name}"
    for name in (
        "MODEL_NAME", "TENSOR_PARALLEL_SIZE", "PIPELINE_PARALLEL_SIZE", "NODE_RANK", "NUM_NODES",
        "MASTER_ADDR", "MASTER_PORT", "QUANTIZATION",
    )
)  # fmt: skip


def read(environment: Mapping[str, str]) -> Launch:
    """Read the variables of a rank; raises LaunchError with every fault."""
    variables = Variables(environment)
    variables.unknown("NIM_", _OWN | nim.KNOWN, "no variable of the article")
    why = "the article sets it on every node"
    model = variables.need("NIM_MODEL_NAME", why)
    nodes = variables.need_number("NIM_NUM_NODES", 1, 1024, why)
    rank = variables.need_number("NIM_NODE_RANK", 0, nodes - 1, why)
    leader = variables.address("NIM_MASTER_ADDR", variables.need("NIM_MASTER_ADDR", why))
    rendezvous = variables.need_number("NIM_MASTER_PORT", 1, 65535, why)
    tensor = variables.need_number("NIM_TENSOR_PARALLEL_SIZE", 1, 1024, why)
    pipeline = variables.need_number("NIM_PIPELINE_PARALLEL_SIZE", 1, 1024, why)
    port = nim.api_port(variables)
    settings = nim.settings(variables)
    variables.check()
    return Launch(
        contract="article",
        dialect=nim.DIALECT,
        settings=settings,
        rank=rank,
        nodes=nodes,
        tensor=tensor,
        pipeline=pipeline,
        leader=leader,
        rendezvous_port=rendezvous,
        model=model,
        served=nim.served_names(variables, model),
        port=port,
        log_level=nim.log_level(variables),
        warnings=tuple(variables.warnings),
    )
