"""The commands of the image: each reads its contract and runs this container's rank."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from .contracts import article, native, nim1_env, nim2_ray, nim_variant, sglang, vllm
from .errors import EngineDeadError, LaunchError, RankError
from .launch import Launch
from .log import log, set_rank, start

Reader = Callable[[Sequence[str], Mapping[str, str]], Launch]


def start_server(arguments: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """`/opt/nim/start_server.sh`, the image's default: the environment tells which contract is spoken."""
    if arguments:
        raise LaunchError([f"start_server.sh takes no arguments, got {' '.join(arguments)}"], exit_code=2)
    for read, names in _SPOKEN:
        if any(name in environment for name in names):
            return read(environment)
    if any(name.startswith("NIM_") for name in environment):
        return nim1_env.read(environment)
    return native.read(environment)


_SPOKEN: Sequence[tuple[Callable[[Mapping[str, str]], Launch], Sequence[str]]] = (
    (native.read, ("REHEARSAL_RANK", "REHEARSAL_NODES", "REHEARSAL_LEADER")),
    (nim_variant.read, ("NIM_PRIMARY_NODE", "NIM_NODE_MANAGER_PORT")),
    (nim1_env.read, ("NIM_MULTI_NODE", "NIM_LEADER_ROLE", "NIM_LEADER_IP_ADDRESS", "NIM_NUM_COMPUTE_NODES")),
    (article.read, ("NIM_MASTER_ADDR", "NIM_MASTER_PORT", "NIM_NUM_NODES")),
    (nim1_env.read, ("NIM_NODE_RANK",)),
)
COMMANDS: Mapping[str, Reader] = {
    "start-server": start_server,
    "nim-serve-ray": nim2_ray.read,
    "vllm": vllm.read,
    "sglang": sglang.read,
}


def main(arguments: Sequence[str]) -> int:
    """Run ``COMMAND ARGUMENTS``; returns the exit code of the rank."""
    start()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        launch = COMMANDS[arguments[0]](arguments[1:], os.environ)
        run(launch)
    except LaunchError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return error.exit_code
    except RankError as error:
        log.error("%s", error)
        return error.exit_code
    except EngineDeadError:
        log.error("a rank was lost before the model was warm")
        return 1
    except SystemExit:
        log.info("stopping")
    return 0


def run(launch: Launch) -> None:
    """Run the rank until it ends or is stopped."""
    start(launch.log_level)
    if launch.rank is not None:
        set_rank(launch.rank)
    log.info(
        "rehearsal engine under contract %s, rank %s of %s", launch.contract, launch.rank, launch.nodes or "?"
    )
    for warning in launch.warnings:
        log.warning("%s", warning)
    # Only the leader needs what serves HTTP; without it a worker is smaller and starts sooner.
    if launch.rank == 0:
        from . import leader

        leader.run(launch)
    else:
        from . import worker

        worker.run(launch)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def cli(arguments: Sequence[str]) -> None:
    """Run a command and end the process at once, whatever its threads are waiting for."""
    code = main(arguments or ["start-server"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
