"""A rank that is not the leader: it joins, loads its layers and computes its part of each step."""

from __future__ import annotations

import signal
from dataclasses import asdict

from .errors import LinkLostError, RankError
from .group import join
from .launch import Launch
from .log import log, set_rank
from .runner import load
from .stage import Step


def run(launch: Launch) -> None:
    """Work for the leader until it is lost, then stay up, useless, until stopped: as the engines do."""
    group = join(launch)
    set_rank(group.rank)
    runner = load(group)
    leader = group.links[0]
    try:
        leader.send_json([asdict(part) for part in runner.topology()])
    except LinkLostError as error:
        raise RankError(f"the leader was lost while the model was loading: {error}") from error
    log.info("ready to work for the leader; a worker serves no HTTP")
    try:
        while True:
            runner.run(Step.parse(leader.receive_json()))
    except LinkLostError as error:
        log.error("%s: the group is broken and this rank waits for ever", error)
    while True:
        signal.pause()
