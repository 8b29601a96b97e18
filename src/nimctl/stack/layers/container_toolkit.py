"""The container toolkit: containers get GPUs by a CDI specification that fits the driver that runs.

Only ``nvidia-container-toolkit-base`` is installed where nothing else was there before: it has all that
CDI needs. The packages of the toolkit ask for each other's exact version, so those that are installed
move together and are held together.

Sources: NVIDIA/nvidia-container-toolkit (packaging, deployments/systemd, ``cdi generate``) and its release
notes in NVIDIA/cloud-native-docs, read in November 2026; versions are rows of ``toolkits`` and ``cdi``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from nimctl.description.document import ContainerToolkit
from nimctl.stack.exact import exact_versions, locked, package_changes, published
from nimctl.stack.host import CdiSpec, Host
from nimctl.stack.numbers import older, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError
from nimctl.stack.rows import Toolkit

LAYER = "container_toolkit"
FIELD = "stack.container_toolkit.version"
BASE = "nvidia-container-toolkit-base"
PACKAGES = (BASE, "nvidia-container-toolkit", "libnvidia-container-tools", "libnvidia-container1")
KIND = "nvidia.com/gpu"
DROP_IN = "/etc/systemd/system/nvidia-cdi-refresh.service.d/50-nimctl-nvidia_container_toolkit.conf"
NO_GROUPS = "no-additional-gids-for-device-nodes"
"""The feature flag by which a toolkit leaves out what older engines cannot read, the groups of nodes."""
BEFORE_GROUPS = "0.5.0"
"""The version of CDI that it then writes."""

ENGINES: Mapping[str, tuple[str, ...]] = {
    "docker": ("docker-ce", "docker.io", "moby-engine"),
    "podman": ("podman",),
}
"""Packages by which an engine is there."""


def plan(question: Question) -> LayerPlan:
    """What a host needs so that its containers get GPUs. Raises RefusedError, AskError."""
    settings: ContainerToolkit = question.settings
    host = question.host
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    if not host.gpus:
        why = "This node has no NVIDIA GPU, so it needs no container toolkit."
        return LayerPlan(LAYER, {"steps": "nothing"}, notes=(why,))
    engines = _engines(host)
    _refuse_engines_without_cdi(question, engines)
    toolkit = _toolkit(question)
    if settings.mode == "verify":
        return _verified(host, toolkit.version if settings.version else "")
    if not toolkit.refresh:
        raise RefusedError(_not_renewed(question, toolkit))
    flags = _flags(question, toolkit, engines)
    names = [name for name in PACKAGES if name == BASE or name in host.packages]
    repository = published(question, LAYER)
    versions = exact_versions(question, repository, names, toolkit.version, FIELD)
    changes = specification_changes(host, _first_unreadable(toolkit, flags))
    waits = bool(changes) and not host.driver.loaded
    return LayerPlan(
        LAYER,
        {
            "steps": "managed",
            "version": toolkit.version,
            "versions": versions,
            "repositories": [asdict(repository)],
            "kind": KIND,
            "flags": flags,
            "below": _first_unreadable(toolkit, flags),
            "files": _drop_ins(flags),
        },
        will=(*package_changes(host, versions, names), *(() if waits else changes)),
        notes=_notes(engines, flags),
    )


def _verified(host: Host, wanted: str) -> LayerPlan:
    """What differs on a host that somebody else looks after; any version does where none is asked for."""
    found = host.packages.get(BASE)
    differs = []
    if wanted and (found is None or upstream(found.version) != wanted):
        has = upstream(found.version) if found else "none"
        differs.append(f"{BASE} {wanted} is wanted, found {has}")
    elif found is None and not any(spec.kind == KIND for spec in host.cdi):
        differs.append(f"{BASE} is not installed")
    return LayerPlan(LAYER, {"steps": "verify"}, will=(*differs, *specification_changes(host)))


def _engines(host: Host) -> dict[str, str]:
    """Versions of the container engines that are installed."""
    found = {}
    for engine, names in ENGINES.items():
        there = [host.packages[name].version for name in names if name in host.packages]
        if there:
            found[engine] = there[0]
    return found


def _refuse_engines_without_cdi(question: Question, engines: Mapping[str, str]) -> None:
    floors = question.versions.cdi[BEFORE_GROUPS].engines
    if not engines or any(not older(version, floors[engine]) for engine, version in engines.items()):
        return
    raise RefusedError(
        f"container_toolkit: found {_said(engines)}, and GPUs need docker {floors['docker']} or podman "
        f"{floors['podman']}, the first that know CDI. Set stack.container_engine.source to docker for the "
        "packages of docker's own repository, or use a newer release of the distribution."
    )


def _toolkit(question: Question) -> Toolkit:
    """The version that is asked for, locked, or there already and good enough, or else the newest known."""
    wanted = question.settings.version or locked(question, LAYER)
    there = question.host.packages.get(BASE)
    if wanted or there is None:
        return question.versions.toolkit(wanted)
    present = question.versions.toolkit(upstream(there.version))
    return present if present.refresh or question.settings.mode == "verify" else question.versions.toolkit()


def _not_renewed(question: Question, toolkit: Toolkit) -> str:
    first = next(row.version for row in question.versions.toolkits.values() if row.refresh)
    return (
        f"container_toolkit: {toolkit.version} does not renew the CDI specification after a change of the "
        f"driver, so containers would lose their GPUs then. Set {FIELD} to {first} or newer."
    )


def _flags(question: Question, toolkit: Toolkit, engines: Mapping[str, str]) -> list[str]:
    """Feature flags without which an engine that is there could not read the specification."""
    if toolkit.cdi == BEFORE_GROUPS:
        return []
    floors = question.versions.cdi[BEFORE_GROUPS].engines
    for engine, version in engines.items():
        floor = question.versions.cdi_floor(toolkit, engine)
        if floor and older(version, floor) and not older(version, floors[engine]):
            return [NO_GROUPS]
    return []


def _drop_ins(flags: Sequence[str]) -> list[dict[str, str]]:
    """For the unit that renews the specification, so that it leaves out the same as we do."""
    if not flags:
        return []
    text = f"[Service]\nEnvironment=NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS={','.join(flags)}\n"
    return [{"path": DROP_IN, "content": f"# Written by nimctl. Changes are undone by its next run.\n{text}"}]


def _first_unreadable(toolkit: Toolkit, flags: Sequence[str]) -> str:
    """The first version of CDI that an engine of the host cannot read; empty where each reads all."""
    return toolkit.cdi if flags else ""


def specification_changes(host: Host, below: str = "") -> list[str]:
    """In sentences, what is wrong with the specification that engines go by."""
    ours = [spec for spec in host.cdi if spec.kind == KIND]
    if not ours:
        return ["write a CDI specification of the GPUs"]
    effective = min(ours, key=_precedence)
    if effective.stale:
        return [f"renew {effective.path}, which is not of this driver: {'; '.join(effective.stale)}"]
    if below and not older(effective.version, below):
        return [f"renew {effective.path}, which is of CDI {effective.version}"]
    return []


def _precedence(spec: CdiSpec) -> int:
    """Engines prefer what is below /run to what is below /etc."""
    return 0 if spec.path.startswith(("/run/", "/var/run/")) else 1


def _notes(engines: Mapping[str, str], flags: Sequence[str]) -> tuple[str, ...]:
    if not flags:
        return ()
    return (
        f"{_said(engines)} cannot read CDI 0.7.0, so the specification leaves out the groups of device nodes "
        f"({NO_GROUPS}): a container that does not run as root gets no access by group.",
    )


def _said(engines: Mapping[str, str]) -> str:
    return " and ".join(f"{engine} {upstream(version)}" for engine, version in engines.items())
