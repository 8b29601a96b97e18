"""Look into a container image and say which contract it obeys, without starting its server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from nimctl.contracts.model import Contract
from nimctl.errors import NimctlError

_NAME = re.compile(rb"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_MAX_SCRIPT = 1024 * 1024
_SCRIPT_FOLDERS = ("opt/nim/", "usr/local/bin/", "usr/bin/", "bin/", "opt/nvidia/", "workspace/", "app/")
_SCRIPT_SUFFIXES = {".sh", ".py", ".bash", ".j2", ".yaml", ".yml", ".toml", ""}
_DRY_RUN_SECONDS = 120
_KNOWN_PROGRAMS = ("nim-serve", "nim-serve-ray", "vllm", "sshd", "mpirun", "ray")


class ImageError(NimctlError):
    """An image cannot be looked into; the message says why and what to do."""


@dataclass(slots=True)
class Look:
    """What was seen: configuration, interesting files, and where each variable is mentioned first."""

    image: str
    engine: str
    entrypoint: list[str]
    command: list[str]
    environment: dict[str, str]
    labels: dict[str, str]
    user: str
    files: set[str] = field(default_factory=set)
    programs: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    mentions: dict[str, str] = field(default_factory=dict)
    scripts: int = 0
    dry_run: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well one contract fits: ``seen`` and ``missing`` are what its traces name, as sentences."""

    contract: str
    obeys: bool
    seen: tuple[str, ...]
    missing: tuple[str, ...]


def _call(*command: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments go to the program as they are, through no shell
        command, capture_output=True, text=True, timeout=seconds, check=False
    )


def container_engine(wanted: str | None = None) -> str:
    """The one of podman and docker that works here; raises ImageError."""
    for name in [wanted] if wanted else ["podman", "docker"]:
        if shutil.which(name) and _call(name, "info").returncode == 0:
            return name
    raise ImageError(
        f"{wanted or 'podman or docker'} is needed to look into an image, and none works on this machine; "
        "run this where the image is"
    )


def look(image: str, engine: str, contracts: Mapping[str, Contract], *, run: bool = True) -> Look:
    """Look into an image that is on this machine.

    The file system is read through an export of a container that is created and never started. With ``run``,
    an image that has ``nim-serve`` is asked for its dry run, without network. Raises ImageError.
    """
    seen = _configuration(image, engine)
    traces = [contract.traces for contract in contracts.values()]
    wanted = {name for trace in traces for name in (*trace.variables, *trace.supporting)}
    modules = {module for trace in traces for module in trace.modules}
    paths = {path for trace in traces for path in trace.files if path.startswith("/")}
    _read_files(seen, wanted, modules, paths)
    if run and "nim-serve" in seen.programs:
        seen.dry_run = _dry_run(seen)
    return seen


def judge(seen: Look, contracts: Mapping[str, Contract]) -> list[Verdict]:
    """Hold what was seen against every contract's traces; the best fit first."""
    verdicts = []
    for contract in contracts.values():
        traces = contract.traces
        if not (traces.files or traces.variables or traces.modules):
            continue
        found: list[str] = []
        missing: list[str] = []
        for path in traces.files:
            place = path if path in seen.files else seen.programs.get(path)
            (found if place else missing).append(f"file {place or path}")
        for module in traces.modules:
            place = seen.packages.get(module)
            (found if place else missing).append(
                f"Python package {module}" + (f" in {place}" if place else "")
            )
        for name in traces.variables:
            place = seen.mentions.get(name)
            (found if place else missing).append(f"variable {name}" + (f" in {place}" if place else ""))
        for name in traces.supporting:
            if name in seen.mentions:
                found.append(f"variable {name} in {seen.mentions[name]}")
        verdicts.append(Verdict(contract.id, not missing, tuple(found), tuple(missing)))
    return sorted(verdicts, key=lambda verdict: (not verdict.obeys, -len(verdict.seen), verdict.contract))


def _configuration(image: str, engine: str) -> Look:
    done = _call(engine, "image", "inspect", image)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [engine])[-1]
        raise ImageError(f"{image} is not on this machine ({reason}); get it first: {engine} pull {image}")
    config: dict[str, Any] = json.loads(done.stdout)[0].get("Config") or {}
    pairs = [entry.partition("=") for entry in config.get("Env") or []]
    return Look(
        image=image,
        engine=engine,
        entrypoint=list(config.get("Entrypoint") or []),
        command=list(config.get("Cmd") or []),
        # Values may be secrets that somebody baked in: the ones that matter here are paths.
        environment={name: value if name in {"PATH", "NIM_CACHE_PATH"} else "" for name, _, value in pairs},
        labels=dict(config.get("Labels") or {}),
        user=str(config.get("User") or ""),
    )


def _read_files(seen: Look, wanted: set[str], modules: set[str], paths: set[str]) -> None:
    # An image without a command cannot be created without one; it is never started.
    created = _call(seen.engine, "create", "--network=none", seen.image, "nimctl-looks-inside")
    if created.returncode:
        raise ImageError(
            f"{seen.image}: {seen.engine} cannot create a container of it: {created.stderr.strip()}"
        )
    container = created.stdout.strip().splitlines()[-1]
    try:
        command = [seen.engine, "export", container]
        with subprocess.Popen(  # noqa: S603 - as above
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as export:
            assert export.stdout is not None
            _scan(seen, export.stdout, wanted, modules, paths)
        if export.returncode:
            raise ImageError(f"{seen.image}: {seen.engine} export failed; is there space on the disk?")
    except tarfile.TarError as error:
        raise ImageError(f"{seen.image}: its file system cannot be read: {error}") from error
    finally:
        _call(seen.engine, "rm", "-f", container)


def _scan(seen: Look, stream: IO[bytes], wanted: set[str], modules: set[str], paths: set[str]) -> None:
    folders = {
        folder.strip("/")
        for folder in seen.environment.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    }
    programs = set(_KNOWN_PROGRAMS)
    names = {name.encode() for name in wanted}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            text = str(path)
            if f"/{text}" in paths:
                seen.files.add(f"/{text}")
            if path.name in programs and str(path.parent) in folders:
                seen.programs.setdefault(path.name, f"/{text}")
            if (
                path.name == "__init__.py"
                and path.parent.name in modules
                and "-packages" in path.parent.parent.name
            ):
                seen.packages.setdefault(path.parent.name, f"/{path.parent}")
            if member.isfile() and member.size <= _MAX_SCRIPT and _is_script(path):
                content = archive.extractfile(member)
                if content is not None:
                    _mentions(seen, text, content.read(), names)


def _is_script(path: PurePosixPath) -> bool:
    return str(path).startswith(_SCRIPT_FOLDERS) and path.suffix in _SCRIPT_SUFFIXES


def _mentions(seen: Look, path: str, content: bytes, names: Iterable[bytes]) -> None:
    if b"\0" in content[:4096]:
        return
    seen.scripts += 1
    wanted = set(names)
    for number, line in enumerate(content.splitlines(), 1):
        if line.lstrip().startswith(b"#"):
            continue
        for name in wanted.intersection(_NAME.findall(line)):
            seen.mentions.setdefault(name.decode(), f"/{path}:{number}")


def _dry_run(seen: Look) -> str:
    """What ``nim-serve --dry-run`` says, or why it said nothing."""
    name = f"nimctl-dry-run-{uuid.uuid4().hex[:12]}"
    options = ("--rm", f"--name={name}", "--network=none", "--entrypoint=nim-serve")
    try:
        done = _call(seen.engine, "run", *options, seen.image, "--dry-run", seconds=_DRY_RUN_SECONDS)
    except subprocess.TimeoutExpired:
        _call(seen.engine, "rm", "-f", name)
        return f"no answer within {_DRY_RUN_SECONDS} s"
    if done.returncode == 0:
        return done.stdout.strip()
    return f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"
