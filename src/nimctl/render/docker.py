"""The commands of one node as a shell script: pull, run every rank, wait until the leader answers."""

from __future__ import annotations

from nimctl.placement import Placement, Rank
from nimctl.render import shell
from nimctl.render.files import header
from nimctl.render.nodes import by_node, container, log_options, secret_files, title
from nimctl.resolve import check_runnable


def render(placement: Placement) -> dict[str, str]:
    """One script for each node, by path.

    Raises:
        RejectedError: a deployment may only be shown.
    """
    check_runnable(placement)
    return {f"{node}.sh": _script(placement, node, ranks) for node, ranks in by_node(placement).items()}


def _script(placement: Placement, node: str, ranks: list[Rank]) -> str:
    parts = [
        "#!/bin/sh\n"
        + header(
            placement.cluster.name,
            f"For node {node}, as root: leaders first, then their workers, within the time that a start "
            f"may take.",
            "A rank that starts again alone leaves a group that hangs, so no rank does: after one ended, "
            "run the",
            "scripts of all nodes of its replica again.",
        )
        + "set -eu\n"
    ]
    parts += [_start(placement, rank) for rank in ranks]
    parts += [_wait(placement, rank) for rank in ranks if rank.health is not None]
    return "\n".join(parts)


def _start(placement: Placement, rank: Rank) -> str:
    engine = placement.cluster.stack.container_engine.engine
    lines = [f"# {title(rank)}."]
    for mount in rank.requires_mounts:
        lines.append(
            f"mountpoint -q {shell.word(mount)} || "
            f"{{ echo {shell.word(mount + ' is not mounted')} >&2; exit 1; }}"
        )
    for file in secret_files(placement, rank):
        told = f"{file} is missing: mode 0600, one line NAME=value"
        lines.append(f"[ -r {shell.word(file)} ] || {{ echo {shell.word(told)} >&2; exit 1; }}")
    for each in rank.mounts:
        if each.owner is not None and not each.read_only:
            lines.append(f"install -d -m 0755 -o {each.owner} -g {each.owner} {shell.word(each.source)}")
    lines.append(f"{engine} pull {shell.word(rank.image)}")
    name = container(rank)
    lines.append(f"{engine} rm --force {name} >/dev/null 2>&1 || :")
    options = [
        f"--name={name}",
        "--restart=no",
        f"--stop-timeout={rank.stop_timeout}",
        *(f"--log-opt={key}={value}" for key, value in _logs(placement, engine).items()),
        *rank.options,
        *(f"--env-file={file}" for file in secret_files(placement, rank)),
        *(f"--env={key}={value}" for key, value in rank.environment.items()),
    ]
    run = [f"{engine} run --detach", *shell.words(options), shell.word(rank.image)]
    if rank.command:
        run.append(" ".join(shell.words(rank.command)))
    lines.append(shell.lines(run))
    return "\n".join(lines) + "\n"


def _logs(placement: Placement, engine: str) -> dict[str, str]:
    options = log_options(placement)
    # Podman keeps one file and starts it anew when it is full.
    return {"max-size": options["max-size"]} if engine == "podman" else options


def _wait(placement: Placement, rank: Rank) -> str:
    health = rank.health
    assert health is not None
    engine = placement.cluster.stack.container_engine.engine
    url = f"http://localhost:{health.port}{health.path}"
    return (
        f"# {rank.deployment} serves when all its ranks have joined and the model is loaded.\n"
        f"deadline=$(($(date +%s) + {health.deadline}))\n"
        f"until curl --fail --silent --output /dev/null {shell.word(url)}; do\n"
        f'  if [ "$(date +%s)" -ge "$deadline" ]; then\n'
        f"    echo {shell.word(f'{rank.name} did not serve within {health.deadline} s')} >&2\n"
        f"    {engine} logs --tail 50 {container(rank)} >&2\n"
        "    exit 1\n"
        "  fi\n"
        "  sleep 5\n"
        "done\n"
        f"echo {shell.word(f'{rank.name} serves on port {health.port}')}\n"
    )
