"""`nim1-env`: LLM NIM 1.7 with SGLang profiles, ranks wired by variables alone.

What each rank must have is what NVIDIA's own launcher for DeepSeek-R1 on two nodes sets (dgxc-benchmarking,
inf_nim/deepseek-r1), compared with the Run:ai tutorial and the NIM operator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..launch import Launch
from . import nim
from .variables import Variables

_MASTER_PORT = 50000
_FOREIGN = ("NIM_NUM_NODES", "NIM_MASTER_ADDR", "NIM_MASTER_PORT", "NIM_QUANTIZATION")


def read(environment: Mapping[str, str]) -> Launch:
    """Read the variables of a rank; raises LaunchError with every fault."""
    variables = Variables(environment)
    variables.unknown("NIM_", nim.KNOWN | nim.RANK_1 | set(_FOREIGN), "no variable of this image")
    for name in _FOREIGN:
        if variables.has(name):
            variables.warnings.append(f"{name} is not read by any NIM image and is ignored")
    multi = variables.flag("NIM_MULTI_NODE") or False
    nodes = variables.number("NIM_NUM_COMPUTE_NODES", 1, 1024, 1)
    rank, leader = 0, "127.0.0.1"
    if multi:
        nodes = variables.need_number(
            "NIM_NUM_COMPUTE_NODES", 1, 1024, "the number of nodes, leader included"
        )
        rank = variables.need_number("NIM_NODE_RANK", 0, nodes - 1, "each rank has its number, the leader 0")
        leader = _leader(variables)
        _check_role(variables, rank)
        _check_backend(variables)
    elif nodes > 1 or variables.number("NIM_NODE_RANK", 0, 1023, 0) > 0:
        variables.problems.append("NIM_MULTI_NODE is not 1, but the other variables speak of several nodes")
    tensor, pipeline = _sizes(variables, nodes)
    if nodes == 1 and not multi and tensor * pipeline > 1 and pipeline > 1:
        variables.problems.append(
            f"tp*pp = {tensor * pipeline} needs more than this node's GPUs: NIM_MULTI_NODE is not set"
        )
    model = nim.weights_folder(variables, "NIM_MODEL_NAME")
    port = nim.api_port(variables)
    rendezvous = variables.port("MASTER_PORT", _MASTER_PORT)
    nim.check_cache(variables)
    settings = nim.settings(variables)
    variables.check()
    return Launch(
        contract="nim1-env",
        dialect=nim.DIALECT,
        settings=settings,
        rank=rank,
        nodes=nodes,
        tensor=tensor,
        pipeline=pipeline,
        leader=leader,
        rendezvous_port=rendezvous,
        model=model or "rehearsal",
        served=nim.served_names(variables, model or "rehearsal"),
        port=port,
        address=variables.text("REHEARSAL_ADDRESS"),
        log_level=nim.log_level(variables),
        warnings=tuple(variables.warnings),
    )


def _leader(variables: Variables) -> str:
    """NIM_LEADER_IP_ADDRESS; under a LeaderWorkerSet the operator relies on LWS_LEADER_ADDRESS instead."""
    own = variables.text("NIM_LEADER_IP_ADDRESS")
    lws, master = variables.text("LWS_LEADER_ADDRESS"), variables.text("MASTER_ADDR")
    if own and master and own != master:
        variables.problems.append(f"MASTER_ADDR={master!r} is not NIM_LEADER_IP_ADDRESS={own!r}")
    if own:
        return variables.address("NIM_LEADER_IP_ADDRESS", own)
    if lws:
        return lws
    variables.need("NIM_LEADER_IP_ADDRESS", "workers find the leader by it")
    return master


def _check_role(variables: Variables, rank: int) -> None:
    variables.need("NIM_LEADER_ROLE", "1 on the leader, 0 on every other rank")
    role = variables.flag("NIM_LEADER_ROLE")
    if role is not None and variables.has("NIM_NODE_RANK") and role != (rank == 0):
        variables.problems.append(
            f"NIM_LEADER_ROLE={int(role)} and NIM_NODE_RANK={rank} contradict each other: rank 0 leads"
        )


def _check_backend(variables: Variables) -> None:
    sglang = variables.flag("NIM_USE_SGLANG")
    profile = variables.text("NIM_MODEL_PROFILE")
    if sglang is False or (sglang is None and not profile.startswith("sglang-")):
        variables.problems.append(
            "neither NIM_USE_SGLANG=1 nor a NIM_MODEL_PROFILE that begins with sglang-: the image takes its "
            "TensorRT-LLM backend, whose ranks meet over MPI and not by variables"
        )
    if variables.flag("NIM_TRUST_CUSTOM_CODE") is None:
        variables.warnings.append(
            "NIM_TRUST_CUSTOM_CODE is not set: models with code of their own will not load"
        )


def _sizes(variables: Variables, nodes: int) -> tuple[int, int]:
    """Tensor and pipeline size, from their variables or the name of the profile; the two must agree."""
    profile = variables.text("NIM_MODEL_PROFILE")
    sizes = []
    for name, tag in (("NIM_TENSOR_PARALLEL_SIZE", "tp"), ("NIM_PIPELINE_PARALLEL_SIZE", "pp")):
        found = re.search(rf"-{tag}(\d+)(?:-|$)", profile)
        size = variables.number(name, 1, 1024, int(found[1]) if found else 1)
        if found and int(found[1]) != size:
            variables.problems.append(f"{name}={size} contradicts NIM_MODEL_PROFILE={profile!r}")
        if nodes > 1 and not found:
            variables.need(name, f"how the model is split over {nodes} nodes")
        sizes.append(size)
    return sizes[0], sizes[1]
