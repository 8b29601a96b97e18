"""``nimctl init``: write a first description from flags, or from questions on a terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from nimctl.cli.app import messages
from nimctl.description import first, nodeset, syntax
from nimctl.description.document import Engine
from nimctl.description.hardware import hardware
from nimctl.description.words import listing, nearest
from nimctl.errors import DescriptionError, NimctlError, Problem, RejectedError, field_name
from nimctl.inventory import read
from nimctl.suggest import command

FILE = "cluster.yml"
ENGINES: tuple[str, ...] = get_args(Engine)

# Which flag a problem of the written file comes from, by the last name of its field.
_FLAGS = {
    ("connection", "user"): "--user",
    ("connection", "key"): "--key",
    ("nodes", "hosts"): "--hosts",
    ("nodes", "addresses"): "--addresses",
    ("gpu", "model"): "--gpu",
    ("gpu", "count"): "--gpus-per-node",
    ("fabric", "kind"): "--fabric",
    ("fabric", "rate"): "--rate",
    ("fabric", "interface"): "--interface",
    ("fabric", "addresses"): "--fabric-addresses",
    ("deployments", "name"): "--deployment",
    ("deployments", "hosts"): "--hosts",
    ("deployments", "model"): "--model",
    ("deployments", "engine"): "--engine",
    ("deployments", "image"): "--image",
    ("deployments", "replicas"): "--replicas",
    ("deployments", "port"): "--port",
    ("parallel", "tensor"): "--tensor",
    ("parallel", "pipeline"): "--pipeline",
    ("weights", "path"): "--weights",
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(init)


def init(
    inventory: Annotated[
        Path, typer.Option("-i", "--inventory", help="Folder to write cluster.yml into.", show_default=True)
    ] = Path("inventories/prod"),
    hosts: Annotated[str, typer.Option(help='Node set of the machines, such as "gpu[01-02]".')] = "",
    engine: Annotated[str, typer.Option(help="nim, vllm, sglang or rehearsal.")] = "",
    model: Annotated[str, typer.Option(help="Model, as the engine names it.")] = "",
    image: Annotated[str, typer.Option(help="Container image. Default: one to begin with.")] = "",
    name: Annotated[str, typer.Option(help="Name of the cluster. Default: from the folder.")] = "",
    deployment: Annotated[str, typer.Option(help="Name of the deployment. Default: from the model.")] = "",
    addresses: Annotated[
        str, typer.Option(help="Addresses, in the order of hosts. Default: the names.")
    ] = "",
    user: Annotated[str, typer.Option(help="SSH user.")] = "",
    key: Annotated[str, typer.Option(help="SSH private key file.")] = "",
    gpu: Annotated[str, typer.Option(help="GPU model such as h100-sxm.")] = "",
    gpus_per_node: Annotated[int, typer.Option(help="GPUs in each machine; 0 for none.", min=-1)] = -1,
    fabric: Annotated[str, typer.Option(help="infiniband, roce or ethernet. Default: none.")] = "",
    rate: Annotated[str, typer.Option(help="Speed of a port: hdr, ndr, xdr, or 1g to 800g.")] = "",
    interface: Annotated[str, typer.Option(help="Interface of the fabric, such as ib0.")] = "",
    fabric_addresses: Annotated[str, typer.Option(help="Addresses on the fabric.")] = "",
    replicas: Annotated[int, typer.Option(help="Copies of the model.", min=1)] = 1,
    tensor: Annotated[int, typer.Option(help="GPUs that share each layer. Default: those of a node.")] = 0,
    pipeline: Annotated[int, typer.Option(help="Pipeline stages. Default: what the hosts allow.")] = 0,
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8000,
    weights: Annotated[str, typer.Option(help="Folder with the weights on every machine.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a cluster.yml that exists.")] = False,
) -> None:
    """Write a first description from flags or, on a terminal, from questions: commented and valid.

    An existing cluster.yml is never replaced without --force.
    """
    target = inventory / FILE
    if target.exists() and not force:
        raise RejectedError(
            f"{target} exists; --force replaces it, or choose another folder with --inventory"
        )
    asking = not (hosts and engine and model)
    if asking and not _interactive():
        given = {"--hosts": hosts, "--engine": engine, "--model": model}
        missing = listing(flag for flag, value in given.items() if not value).replace(" or ", " and ")
        raise RejectedError(
            f"{missing} must be given where there is no terminal to ask on, such as "
            '--hosts "gpu[01-02]" --engine nim --model deepseek-ai/deepseek-r1'
        )
    hosts = hosts or _ask("Machines (node set)", _check_hosts, "gpu[01-02]")
    engine = engine or _ask(f"Engine ({', '.join(ENGINES)})", _check_engine, "nim")
    _check_engine(engine)
    model = model or _ask("Model", _nothing, "deepseek-ai/deepseek-r1")
    if gpus_per_node < 0:
        gpus_per_node = _ask_gpus(engine) if asking and not gpu else _usual_gpus(gpu, engine)
    if gpus_per_node and not gpu and asking:
        gpu = _ask("GPU model", _check_gpu, "h100-sxm")
    description = first.FirstDescription(
        cluster=name or first.cluster_name(inventory.resolve().name),
        hosts=hosts,
        engine=cast(Engine, engine),
        model=model,
        deployment=deployment or first.deployment_name(model),
        image=image,
        addresses=addresses or (_ask_or_leave("Addresses (empty: the names)") if asking else ""),
        user=user or (_ask_or_leave("SSH user (empty: as SSH is set up)") if asking else ""),
        key=str(Path(key).expanduser().absolute()) if key else "",
        gpu=gpu,
        gpus_per_node=gpus_per_node,
        fabric=fabric,
        rate=rate,
        interface=interface,
        fabric_addresses=fabric_addresses,
        replicas=replicas,
        tensor=tensor,
        pipeline=pipeline,
        port=port,
        weights=weights,
    )
    text = _checked_text(description)
    _write(target, text)
    _next_steps(target, description)


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str, check: Callable[[str], None], default: str) -> str:
    """Ask until the answer holds."""
    while True:
        answer = str(typer.prompt(question, default=default, err=True)).strip()
        try:
            check(answer)
        except RejectedError as error:
            messages.print(str(error), style="red", markup=False)
        else:
            return answer


def _ask_or_leave(question: str) -> str:
    return str(typer.prompt(question, default="", show_default=False, err=True)).strip()


def _ask_gpus(engine: str) -> int:
    default = 0 if engine == "rehearsal" else 8
    return int(typer.prompt("GPUs in each machine", default=default, type=int, err=True))


def _usual_gpus(gpu: str, engine: str) -> int:
    """GPUs of each machine when nobody said: 8 with a GPU model; without one, none where that can work."""
    if gpu:
        return 8
    if engine in ("rehearsal", "vllm"):
        return 0
    raise RejectedError("--gpu and --gpus-per-node are needed, such as --gpu h100-sxm --gpus-per-node 8")


def _nothing(answer: str) -> None:
    if not answer:
        raise RejectedError("an answer is needed")


def _check_hosts(answer: str) -> None:
    try:
        for host in nodeset.expand(answer):
            syntax.check_host_name(host)
    except (nodeset.NodeSetError, syntax.WordError) as error:
        raise RejectedError(f"not a node set such as gpu[01-02]: {error}") from error


def _check_engine(answer: str) -> None:
    if answer not in ENGINES:
        raise RejectedError(f"--engine {answer}: expected {listing(ENGINES)}{nearest(answer, ENGINES)}")


def _check_gpu(answer: str) -> None:
    known = hardware(Path())[0].gpus
    if answer not in known:
        raise RejectedError(f"--gpu {answer}: expected {listing(known, limit=30)}{nearest(answer, known)}")


def _checked_text(description: first.FirstDescription) -> str:
    """The text of the file, after a rehearsal in a folder of its own; RejectedError names the flags."""
    if not description.known_image:
        raise RejectedError(
            f"--image is needed with --engine {description.engine}: it has no public image "
            "(`nimctl lab up` builds one and writes a description of its own)"
        )
    try:
        text = first.write(description)
    except nodeset.NodeSetError as error:
        raise RejectedError(
            f"--hosts {description.hosts}: expected a node set such as gpu[01-02]: {error}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, FILE)
        file.write_text(text, "utf-8")
        try:
            read(file)
        except DescriptionError as error:
            lines = dict.fromkeys(_worded(problem) for problem in error.problems)
            raise RejectedError("\n".join(lines)) from error
    return text


def _worded(problem: Problem) -> str:
    names = [part for part in problem.field if isinstance(part, str)]
    flag = _FLAGS.get((names[-2], names[-1])) if len(names) > 1 else "--name" if names == ["name"] else None
    return f"{flag}: {problem.message}" if flag else f"{field_name(problem.field)}{problem.message}"


def _write(target: Path, text: str) -> None:
    """Write the whole file or nothing of it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{FILE}.{os.getpid()}")
        beside.write_text(text, "utf-8")
        beside.replace(target)
    except OSError as error:
        raise NimctlError(f"cannot write {target}: {error.strerror}") from error


def _next_steps(target: Path, description: first.FirstDescription) -> None:
    folder = target.parent
    messages.print(f"{target} written. Read it, then:", markup=False, soft_wrap=True)
    if not description.image:
        messages.print(
            f"  image: {description.known_image} is only one to begin with; name the release that you want",
            markup=False,
            soft_wrap=True,
        )
    if description.guessed_contract:
        messages.print(
            f"  contract: {description.guessed_contract} is a guess; where the image is, "
            f"`nimctl contracts verify {description.known_image}` says which one it obeys",
            markup=False,
            soft_wrap=True,
        )
    if description.engine == "nim":
        messages.print("  export NGC_API_KEY=...", markup=False)
    for verb in ("validate", "provision"):
        messages.print(f"  {command(folder, verb)}", markup=False, soft_wrap=True)
