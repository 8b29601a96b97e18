"""Job scripts for Slurm: their options, what they export, and how they start tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nimctl.lint.containers import Container
from nimctl.lint.model import Place, Source
from nimctl.lint.readers.docker import exported
from nimctl.lint.shellwords import Command, commands


@dataclass(eq=False)
class Job:
    """A job script. ``options`` are those of ``#SBATCH`` lines, the last one of a name."""

    source: Source
    commands: list[Command]
    task: Container
    options: dict[str, tuple[str, Place]] = field(default_factory=dict)
    steps: list[Command] = field(default_factory=list)


_SHORT = {"-N": "--nodes", "-n": "--ntasks", "-J": "--job-name", "-p": "--partition", "-c": "--cpus-per-task"}


def read(source: Source) -> Job:
    """Read a job script; what it exports is what its tasks get."""
    found = Job(source, commands(source), Container("sbatch", source, (1, 1)))
    for number, line in enumerate(source.text.splitlines(), 1):
        match = re.match(r"#SBATCH\s+(-\w|--[\w-]+)[=\s]*(\S*)", line)
        if match:
            name = _SHORT.get(match[1], match[1])
            found.options[name] = (match[2], (number, match.start(1) + 1))
    for command in found.commands:
        found.task.variables += exported(source, command)
        if command.words[0].text == "srun":
            found.steps.append(command)
        for word in command.words:
            if word.text.startswith("--container-image="):
                image = word.text.partition("=")[2]
                if "$" not in image:
                    found.task.image, found.task.image_place = image.replace("#", "/"), word.place
    nodes = found.options.get("--nodes", ("", (1, 1)))[0]
    if nodes.isdigit():
        found.task.size = int(nodes)
    if found.task.variables:
        found.task.place = found.task.variables[0].place
    return found
