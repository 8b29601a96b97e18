"""`nim-variant`: the two-node recipe for DGX Spark. Rank 0 starts bare and prints what rank 1 needs."""

from __future__ import annotations

from collections.abc import Mapping

from ..launch import Launch
from ..net import own_address
from . import nim
from .variables import Variables

# The recipe itself does not set the size of the group; it is common to the other NIM images.
_OWN = frozenset(("NIM_PRIMARY_NODE", "NIM_NODE_MANAGER_PORT", "NIM_NUM_COMPUTE_NODES"))
_MANAGER_PORT = 20000
_NODES = 2


def read(environment: Mapping[str, str]) -> Launch:
    """Read the variables of a rank: the one with NIM_PRIMARY_NODE is rank 1."""
    variables = Variables(environment)
    variables.unknown("NIM_", _OWN | nim.KNOWN, "no variable of this image")
    rank = int("NIM_PRIMARY_NODE" in environment)
    own = variables.text("REHEARSAL_ADDRESS") or own_address()
    leader = own
    if rank:
        why = "rank 0 prints it with NIM_PRIMARY_NODE in its log"
        leader = variables.need("NIM_PRIMARY_NODE", "rank 0 prints its address in its log")
        leader = variables.address("NIM_PRIMARY_NODE", leader)
        manager = variables.need_number("NIM_NODE_MANAGER_PORT", 1, 65535, why)
    else:
        manager = variables.port("NIM_NODE_MANAGER_PORT", _MANAGER_PORT)
    if variables.number("NIM_NUM_COMPUTE_NODES", 1, 1024, _NODES) != _NODES:
        variables.problems.append("NIM_NUM_COMPUTE_NODES is not 2: the recipe of this image is for two nodes")
    tensor = variables.number("NIM_TENSOR_PARALLEL_SIZE", 1, 1024, 0)
    pipeline = variables.number("NIM_PIPELINE_PARALLEL_SIZE", 1, 1024, 0)
    # One GPU in each of the two machines, so tensor parallelism over both unless something else is said.
    pipeline = pipeline or max(1, _NODES // tensor if tensor else 1)
    tensor = tensor or max(1, _NODES // pipeline)
    model = nim.weights_folder(variables, "NIM_MODEL_PATH", remote=("hf://", "ngc://", "modelscope://"))
    port = nim.api_port(variables)
    nim.check_cache(variables)
    settings = nim.settings(variables)
    variables.check()
    return Launch(
        contract="nim-variant",
        dialect=nim.DIALECT,
        settings=settings,
        rank=rank,
        nodes=_NODES,
        tensor=tensor,
        pipeline=pipeline,
        leader=leader,
        rendezvous_port=manager,
        model=model or "rehearsal",
        served=nim.served_names(variables, model or "rehearsal"),
        port=port,
        address=own,
        announce=f"start worker node with NIM_PRIMARY_NODE={own} NIM_NODE_MANAGER_PORT={manager}",
        log_level=nim.log_level(variables),
        warnings=tuple(variables.warnings),
    )
