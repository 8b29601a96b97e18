"""``nimctl render``: the same deployments as files for Kubernetes, Slurm, compose and plain docker."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.errors import FAILED, RejectedError

TARGETS = ("k8s", "slurm", "compose", "docker")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(render)


def render(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="k8s, slurm, compose or docker.")],
    inventory: InventoryOption,
    flavor: Annotated[
        str,
        typer.Option(
            "--flavor", help="For k8s: lws (LeaderWorkerSet) or nimservice (NVIDIA's NIM operator)."
        ),
    ] = "lws",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="DIR", help="Write the files there; default: stdout.", file_okay=False
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit 1 when --output differs from what is rendered."),
    ] = False,
    format: FormatOption = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Write the deployments of a description as files for another scheduler, or as commands.

    Every target says the same of each rank: image, environment, command, GPUs. Only what the scheduler
    decides is written in its own words: rank, addresses, interface and the paths of caches. Secrets are
    named, never written. What is locked in cluster.lock.yml is rendered so; `nimctl lock` first pins
    images to their digests.
    """
    if target not in TARGETS:
        raise RejectedError(f"{target} cannot be rendered; expected {', '.join(TARGETS)}")
    if format not in ("text", "json"):
        raise RejectedError(f"--format {format}: expected text or json")
    if check and output is None:
        raise RejectedError("--check compares the files in --output DIR, which is not given")
    texts, notes = rendered(target, inventory, flavor)
    for note in notes:
        messages.print(f"note: {note}", markup=False, soft_wrap=True)
    if output is not None:
        _to_folder(output, target, texts, notes, check=check, as_json=format == "json")
    elif format == "json":
        print_json({"target": target, "files": dict(texts), "notes": notes})
    else:
        sys.stdout.write(_stream(target, texts))


def rendered(target: str, inventory: Path, flavor: str = "lws") -> tuple[Mapping[str, str], list[str]]:
    """The files of a target by path, and remarks for a person."""
    from nimctl.inventory import read
    from nimctl.render import compose, docker, kubernetes, slurm
    from nimctl.render.kubernetes.notes import notes as kubernetes_notes
    from nimctl.render.kubernetes.site import spelling

    if target == "k8s":
        flavors = kubernetes.flavors
        if flavor not in flavors:
            raise RejectedError(f"--flavor {flavor} is not known; it is {' or '.join(flavors)}")
        plain = read(inventory)
        assert plain.cluster.kubernetes is not None
        placement = read(inventory, spelling(plain.cluster.kubernetes))
        texts = kubernetes.render(placement, "lws" if flavor == "lws" else "nimservice")
        return texts, [*placement.notes, *kubernetes_notes(placement)]
    if flavor != "lws":
        raise RejectedError(f"--flavor {flavor} is for k8s alone")
    if target == "slurm":
        placement = read(inventory, slurm.spelling)
        return slurm.render(placement), list(placement.notes)
    placement = read(inventory)
    return (docker if target == "docker" else compose).render(placement), list(placement.notes)


def _stream(target: str, texts: Mapping[str, str]) -> str:
    """All files as one text: what ``kubectl apply -f -`` takes, or each with its path above."""
    if target == "k8s":
        return "---\n".join(text for path, text in texts.items() if not path.endswith("kustomization.yaml"))
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"# {path}\n{text}" for path, text in texts.items())


def _to_folder(
    folder: Path, target: str, texts: Mapping[str, str], notes: list[str], *, check: bool, as_json: bool
) -> None:
    from nimctl.render import files

    found = files.compare(folder, texts) if check else files.write(folder, texts)
    if as_json:
        print_json(
            {
                "target": target,
                "folder": str(folder),
                "files": sorted(texts),
                "missing": list(found.missing),
                "changed": list(found.changed),
                "stale": list(found.stale),
                "notes": notes,
            }
        )
    elif check:
        for line in found.lines():
            typer.echo(line)
    else:
        written = len(found.missing) + len(found.changed)
        gone = f", {len(found.stale)} removed" if found.stale else ""
        typer.echo(f"{folder}: {len(texts)} files, {written} written{gone}")
    if check and found:
        raise typer.Exit(FAILED)
