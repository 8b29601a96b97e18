"""`nim2-ray`: LLM NIM 2.x on Ray. The command makes a node head or worker.

Workers get their number when they join. Commands and ports are those of the NIM operator; the head's
variables are those of the NIM 2.x reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..launch import Launch
from ..net import own_address, split_host_port
from ..settings import Settings
from . import nim
from .arguments import Parser, number
from .variables import Variables

_RAY_PORT = 6379


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """Read `nim-serve-ray --head --port P` or `nim-serve-ray --head-address HOST:P`."""
    parser = Parser("nim-serve-ray")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--port", type=number(1, 65535))
    parser.add_argument("--head-address")
    options = parser.parse_args(arguments)
    variables = Variables(environment)
    # Operators set the variables of 1.x as well; 2.x does not look at them.
    variables.unknown("NIM_", nim.KNOWN | nim.RANK_1, "no variable of this image")
    if options.head == bool(options.head_address):
        parser.error("one of the arguments --head --head-address is required, and not both")
    if options.head_address and options.port:
        parser.error("argument --port: not allowed with argument --head-address")
    return (
        _head(options.port or _RAY_PORT, variables)
        if options.head
        else _worker(options.head_address, variables)
    )


def _head(port: int, variables: Variables) -> Launch:
    nodes = variables.number("NIM_NUM_COMPUTE_NODES", 1, 1024, 1)
    tensor = variables.number("NIM_TENSOR_PARALLEL_SIZE", 1, 1024, 1)
    pipeline = variables.number("NIM_PIPELINE_PARALLEL_SIZE", 1, 1024, 1)
    if nodes > 1 and tensor * pipeline < nodes:
        variables.problems.append(
            f"NIM_TENSOR_PARALLEL_SIZE x NIM_PIPELINE_PARALLEL_SIZE = {tensor * pipeline} leaves some of "
            f"{nodes} nodes without work"
        )
    _check_logging(variables, nodes)
    model = nim.weights_folder(variables, "NIM_MODEL_PATH", remote=("hf://", "ngc://", "modelscope://"))
    api = nim.api_port(variables)
    settings = nim.settings(variables)
    nim.check_cache(variables)
    variables.check()
    return Launch(
        contract="nim2-ray",
        dialect=nim.DIALECT,
        settings=settings,
        rank=0,
        nodes=nodes,
        tensor=tensor,
        pipeline=pipeline,
        leader="localhost",
        rendezvous_port=port,
        model=model or "rehearsal",
        served=nim.served_names(variables, model or "rehearsal"),
        port=api,
        address=variables.text("REHEARSAL_ADDRESS") or own_address(),
        health_port=variables.port("NIM_HEALTH_PORT", api),
        log_level=nim.log_level(variables),
        warnings=tuple(variables.warnings),
    )


def _worker(head_address: str, variables: Variables) -> Launch:
    leader, port = "", _RAY_PORT
    try:
        leader, port = split_host_port(head_address, _RAY_PORT)
    except ValueError as error:
        variables.problems.append(f"--head-address: {error}")
    _check_logging(variables, 2)
    variables.check()
    return Launch(
        contract="nim2-ray",
        dialect=nim.DIALECT,
        settings=Settings.read(variables.environment),
        rank=None,
        nodes=0,
        tensor=0,
        pipeline=0,
        leader=leader,
        rendezvous_port=port,
        model="",
        served=(),
        address=variables.text("REHEARSAL_ADDRESS"),
        log_level=nim.log_level(variables),
        warnings=tuple(variables.warnings),
    )


def _check_logging(variables: Variables, nodes: int) -> None:
    if variables.flag("NIM_JSONL_LOGGING") and nodes > 1:
        variables.problems.append(
            "NIM_JSONL_LOGGING=1: ValueError: Unable to configure formatter 'jsonl' in the Ray worker; "
            "JSON logging must be off with several nodes (NIM_JSONL_LOGGING=0)"
        )
