"""Check files: read each as what it is, and run the rules that are for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nimctl.lint.containers import Container, Kind
from nimctl.lint.model import RULES, Finding, Report, Source, in_order, rule
from nimctl.lint.readers import compose, docker, env, kind_of, kubernetes, sbatch
from nimctl.lint.rules import containers, engines, jobs, memory, nccl, objects, pods, ranks, variables
from nimctl.lint.yamltree import Tree, YamlError, documents

UNREADABLE = rule(
    "unreadable",
    "error",
    "a file that cannot be read",
    why="It is not YAML (a template of Helm, for example): render it first.",
    source="YAML 1.2",
    kinds=("kubernetes", "compose"),
)
_IGNORE = re.compile(r"#\s*nimctl:\s*ignore(-file)?\[([a-z0-9, -]+)\]")


@dataclass(frozen=True, slots=True)
class Text:
    """A file to check: its name as it is shown, what is in it, and what kind it is."""

    file: str
    text: str
    kind: Kind


def recognise(file: str, text: str) -> Text | None:
    """A file as what it is; None where it is of no kind that has rules."""
    kind = kind_of(file, text)
    return Text(file, text, kind) if kind else None


def check(texts: Sequence[Text]) -> list[Finding]:
    """The findings of files that belong together, by file in the order given, then by place."""
    sources = {each.file: Source(each.file, each.text) for each in texts}
    reports = {file: Report(source) for file, source in sources.items()}
    every = _objects(texts, sources)
    found: list[Container] = []
    for each in texts:
        try:
            found += _one(each, sources[each.file], every, reports[each.file])
        except YamlError as error:
            reports[each.file].add(UNREADABLE, error.place, f"not YAML: {error.message}")
        except RecursionError:
            reports[each.file].add(
                UNREADABLE, (1, 1), "an anchor that contains itself, or values nested too deep"
            )
    for container in found:
        report = reports[container.source.file]
        variables.check(container, report)
        containers.check(container, report)
        containers.check_rdma(container, report)
        nccl.check(container, report)
        ranks.check_parallel(container, report)
        memory.check(container, report)
    ranks.check_group(found, reports)
    return [
        finding
        for each in texts
        for finding in in_order(reports[each.file].findings)
        if each.kind in RULES[finding.rule].kinds and not _ignored(finding, sources[each.file])
    ]


def _objects(texts: Sequence[Text], sources: dict[str, Source]) -> list[Tree]:
    """The objects of all manifests: a service or claim may stand in another file."""
    found: list[Tree] = []
    for each in texts:
        if each.kind == "kubernetes":
            try:
                found += documents(sources[each.file])
            except YamlError:
                continue  # reported when the file itself is read
    return found


def _one(each: Text, source: Source, every: list[Tree], report: Report) -> list[Container]:
    """Run the rules of one kind; the containers that rules for every kind look at."""
    if each.kind == "kubernetes":
        manifest = kubernetes.read(source, every)
        objects.check(manifest, every, report)
        for pod in manifest.pods:
            pods.check(pod, report)
            ranks.check_pod(pod, report)
        return [container for pod in manifest.pods for container in pod.containers]
    if each.kind == "compose":
        services = compose.read(source)
        engines.check_compose(services, report)
        return [container for container, _ in services.services]
    if each.kind == "sbatch":
        job = sbatch.read(source)
        jobs.check(job, report)
        ranks.check_job(job, report)
        return [job.task]
    if each.kind == "env":
        container = env.read(source)
        jobs.check_file(container, report)
        return [container]
    script = docker.read(source)
    engines.check_script(script, report)
    return [run.container for run in script.runs] + ([script.exports] if script.exports else [])


def _ignored(finding: Finding, source: Source) -> bool:
    """Whether a comment on the line, on the one above or for the whole file allows it."""
    for number in (finding.line, finding.line - 1):
        match = _IGNORE.search(source.line(number)) if number else None
        if match and not match[1] and finding.rule in _names(match[2]):
            return True
    return any(match[1] and finding.rule in _names(match[2]) for match in _IGNORE.finditer(source.text))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
