"""NCCL on the node itself: the library, the test, and ``/etc/nccl.conf`` for the node's fabric.

Ranks need no more than the topology file, where there is one: their images bring NCCL, and their
environment comes from the contract. What runs
on the node outside of containers reads ``/etc/nccl.conf``; an environment variable wins over it, and so
does the file that ``NCCL_CONF_FILE`` names (NCCL user guide, environment variables). Both have the same
values, out of ``nimctl/data/network.yml``.

Context of its own: ``fabric``, that of the node as the inventory gives it (``kind``, ``interface``,
``hcas``, ``address``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nimctl.contracts import fill, network
from nimctl.description.document import Nccl
from nimctl.stack.exact import is_there, locked, not_offered, package_changes, published
from nimctl.stack.host import Host
from nimctl.stack.numbers import branch_of, numbers, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError, Repository

LAYER = "nccl"
FIELD = "stack.nccl.version"
TESTS = "nccl-tests"
CONFIGURATION = "/etc/nccl.conf"
TOPOLOGY = "/etc/nimctl/nccl-topology.xml"
TESTS_SOURCE = "https://github.com/NVIDIA/nccl-tests"


def plan(question: Question) -> LayerPlan:
    """What a host has of NCCL. Raises RefusedError, AskError."""
    settings: Nccl = question.settings
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    if not question.host.gpus:
        why = "This node has no NVIDIA GPU, so it needs no NCCL."
        return LayerPlan(LAYER, {"steps": "nothing"}, notes=(why,))
    variables = environment(question.context.get("fabric") or {}, bool(settings.topology))
    values: dict[str, Any] = {
        "steps": settings.mode,
        "versions": {},
        "repositories": [],
        "environment": variables,
        "files": _files(variables, settings.topology),
    }
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    if settings.library or settings.tests:
        repository = published(question, "nvidia")
        values["repositories"] = [asdict(repository)]
        if settings.library:
            name, version = _library(question, repository)
            versions[name] = version
            values["version"] = upstream(version)
            notes = _notes(question, name, version)
        if settings.tests:
            versions[TESTS] = _tests(question, repository)
        values["versions"] = versions
    changes = [*package_changes(question.host, versions, list(versions)), *_told(question.host, variables)]
    return LayerPlan(LAYER, values, will=tuple(changes), notes=notes)


def environment(fabric: Mapping[str, Any], topology: bool) -> dict[str, str]:
    """NCCL's variables for a node's fabric: those that ranks on several nodes get, from the same table."""
    hcas = [hca if ":" in hca else f"{hca}:1" for hca in fabric.get("hcas") or []]
    fields = {
        "interface": str(fabric.get("interface") or ""),
        "hcas": ",".join(hcas),
        "ipv6": "1" if ":" in str(fabric.get("address") or "") else "",
    }
    found = {
        row.name: fill(row.value, fields)
        for row in network()
        if row.name.startswith("NCCL_")
        and row.value is not None
        and fabric.get("kind") in row.kinds
        and all(fields[name] for name in row.when)
    }
    if topology:
        found["NCCL_TOPO_FILE"] = TOPOLOGY
    return dict(sorted(found.items()))


def _files(variables: Mapping[str, str], topology: str | None) -> list[dict[str, str]]:
    """Entries for ``managed_files``."""
    files = [{"path": CONFIGURATION, "template": "nccl.conf.j2"}] if variables else []
    return [*files, {"path": TOPOLOGY, "source": topology}] if topology else files


def _told(host: Host, variables: Mapping[str, str]) -> list[str]:
    """What a run would change in the configuration; a topology file is compared by the run alone."""
    # Without variables there is no file of ours, and one of somebody else stays.
    if not variables or host.nccl == variables:
        return []
    said = ", ".join(f"{name}={value}" for name, value in variables.items())
    return [f"tell NCCL on the node of its fabric ({said}) in {CONFIGURATION}"]


def _library(question: Question, repository: Repository) -> tuple[str, str]:
    """The package of the library and its exact version, built for a CUDA that the driver can run."""
    host = question.host
    name = "libnccl2" if repository.kind == "apt" else "libnccl"
    there = host.packages.get(name)
    wanted = question.settings.version or locked(question, LAYER)
    if wanted is None:
        wanted = upstream(there.version) if there else question.versions.nccl().version
    cuda = _cuda(question)
    if there and is_there(host, name, wanted) and _runs(there.version, cuda):
        return name, there.version
    offers = question.offers.versions(repository, [name])[name]
    fitting = [each for each in offers if wanted in (each, upstream(each))]
    if not fitting:
        raise RefusedError(not_offered(repository, name, wanted, offers, FIELD))
    usable = [each for each in fitting if _runs(each, cuda)]
    if not usable:
        others = ", ".join(each for each in offers if _runs(each, cuda)) or "none"
        raise RefusedError(
            f"nccl: {repository.url} offers {name} {', '.join(fitting)}, and the driver of this node runs "
            f"CUDA {cuda} at most. Set {FIELD} to one that is built for it ({others}), or use another branch "
            "of the driver."
        )
    return name, max(usable, key=_cuda_numbers)


def _runs(version: str, cuda: int) -> bool:
    """Whether a driver of a CUDA runs a library that is built for the same or an earlier one."""
    return next(iter(_cuda_numbers(version)), 0) <= cuda


def _cuda_numbers(version: str) -> tuple[int, ...]:
    """The CUDA version in a package's version: (13, 0) of 2.30.7-1+cuda13.0, empty where it has none."""
    return numbers(version.partition("+cuda")[2])


def _cuda(question: Question) -> int:
    """The major version of CUDA that the driver has, or will have; the newest where that is open."""
    planned = question.plans.get("driver")
    version = str(planned.values.get("version", "")) if planned else question.host.driver.loaded
    first = int(question.versions.rules["cuda-13-driver"].minimum or 0)
    return 12 if version and branch_of(version) < first else 13


def _tests(question: Question, repository: Repository) -> str:
    """The version of the package of nccl-tests. NVIDIA publishes none, a site's mirror may have one."""
    there = question.host.packages.get(TESTS)
    if there:
        return there.version
    offers = question.offers.versions(repository, [TESTS])[TESTS]
    if not offers:
        raise RefusedError(
            f"nccl: stack.nccl.tests is true, and {repository.url} has no package {TESTS}: NVIDIA publishes "
            f"only its source ({TESTS_SOURCE}). Build it once, put the package into the mirror that "
            "stack.mirrors.nvidia names, or set stack.nccl.tests to false."
        )
    return offers[0]


def _notes(question: Question, name: str, version: str) -> tuple[str, ...]:
    if _cuda_numbers(version) or name != "libnccl2":
        return ()
    return (
        f"{name} {version} is the distribution's own. NVIDIA's repository has a newer one of the same name; "
        f"the hold keeps this one. To have NVIDIA's, set {FIELD}.",
    )
