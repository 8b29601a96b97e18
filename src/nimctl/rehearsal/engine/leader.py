"""Rank 0: it gathers the group, loads its own layers, warms up, and serves until a rank is lost."""

from __future__ import annotations

import time
from dataclasses import asdict

from .api import Server, State
from .engine import Engine
from .errors import LinkLostError, RankError
from .group import Group, Rendezvous
from .launch import Launch
from .layout import Layout
from .log import log
from .metrics import Metrics
from .net import api_address
from .runner import Runner, load
from .sampling import Sampling
from .text import encode

_FLUSH_SECONDS = 0.5


def run(launch: Launch) -> None:
    """Serve until the engine dies, which ends this rank without an error code, as vLLM does."""
    settings = launch.settings
    Layout.make(launch.nodes, launch.tensor, launch.pipeline, settings.layers, settings.heads, settings.share)
    state = State(launch, Metrics(launch.served[0], launch.dialect.prefix))
    if launch.dialect.early:
        _listen(state)
    rendezvous = Rendezvous(launch)
    if launch.announce:
        log.info("%s", launch.announce)
    group = rendezvous.gather()
    log.info("all %d ranks joined", group.nodes)
    runner = load(group)
    state.topology = _topology(group, runner)
    # Nothing of the warm-up shows in what the engine says it has served.
    engine = Engine(runner, Metrics("warm-up", ""))
    engine.start()
    _warm_up(engine)
    engine.metrics = state.metrics
    if not launch.dialect.early:
        _listen(state)
    state.engine = engine
    log.info(
        "ready, serving %s on %s",
        ", ".join(launch.served),
        api_address(launch.host, launch.port),
    )
    engine.dead.wait()
    # The requests in flight get their 500 first.
    time.sleep(_FLUSH_SECONDS)
    log.error("the engine is dead, rank 0 exits")


def _listen(state: State) -> None:
    launch = state.launch
    ports = dict.fromkeys((launch.port, launch.health_port or launch.port))
    try:
        for port in ports:
            Server(state, port).start()
    except OSError as error:
        where = api_address(launch.host, port)
        raise RankError(f"cannot serve on {where}: {error}") from error


def _topology(group: Group, runner: Runner) -> list[dict[str, object]]:
    """Which rank is where and what it holds, as each rank reports it once its layers are loaded."""
    held = {0: [asdict(part) for part in runner.topology()]}
    for rank, link in sorted(group.links.items()):
        try:
            held[rank] = link.receive_json()
        except LinkLostError as error:
            raise RankError(f"rank {rank} was lost while it loaded the model: {error}") from error
    return [
        {
            "rank": rank,
            "node": group.hosts[rank][0],
            "address": group.hosts[rank][1],
            "layers": [stages[0]["layers"][0], stages[-1]["layers"][1]],
            "tensor": [
                min(stage["tensor"][0] for stage in stages),
                max(stage["tensor"][1] for stage in stages),
            ],
            "tensor_size": group.tensor,
            "parameters": sum(stage["parameters"] for stage in stages),
            "stages": stages,
        }
        for rank, stages in sorted(held.items())
    ]


def _warm_up(engine: Engine) -> None:
    request = engine.submit(encode("Each token needs every layer"), Sampling(max_tokens=2, ignore_eos=True))
    for event in engine.tokens(request, poll=1.0):
        if isinstance(event, str):
            return
