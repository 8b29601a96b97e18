"""Job scripts for Slurm, and files of variables."""

from __future__ import annotations

import stat
from pathlib import Path

from nimctl.lint.containers import Container
from nimctl.lint.facts import secret_variables
from nimctl.lint.model import Edit, Fix, Report, rule
from nimctl.lint.readers.sbatch import Job
from nimctl.lint.rules.containers import SECRET_ARGUMENT

TASKS = rule(
    "tasks-per-node",
    "error",
    "several tasks on a node",
    why="A rank is one container with all GPUs of its node: one task on each node, not one for each GPU.",
    source="NVIDIA dgxc-benchmarking inf_nim/deepseek-r1 (--ntasks-per-node=1)",
    kinds=("sbatch",),
)
KILL = rule(
    "job-outlives-rank",
    "warning",
    "a job that goes on without one of its ranks",
    why="Without --kill-on-bad-exit a lost rank leaves the others waiting until the time limit.",
    source="srun(1); sglang issue 3099 (rank 0 does not exit when rank 1 dies)",
    kinds=("sbatch",),
)
READABLE = rule(
    "env-file-readable",
    "error",
    "a file with a secret that others can read",
    why="It holds a key, and its mode lets other users of the machine read it. Mode 0600 is enough.",
    source="docs/explanation/secrets.md",
    kinds=("env",),
)


def check(job: Job, report: Report) -> None:
    """Rules about a job's tasks."""
    names = {variable.name for variable in job.task.variables}
    ours = any(name.startswith("NIM_") for name in names) or bool(job.task.engine)
    if not ours:
        return
    value, place = job.options.get("--ntasks-per-node", ("1", (1, 1)))
    if value.isdigit() and int(value) > 1:
        line = job.source.line(place[0])
        start = job.source.start(place[0]) + line.rindex(value)
        fix = Fix("one task", (Edit(start, start + len(value), "1"),))
        report.add(
            TASKS,
            place,
            f"{value} tasks on each node are {value} containers that all take rank and port",
            fix,
        )
    for step in job.steps:
        texts = [word.text for word in step.words]
        if (
            not any(text.startswith(("--kill-on-bad-exit", "-K")) for text in texts)
            and (job.task.size or 2) > 1
        ):
            end = step.words[0].end
            fix = Fix("end with its first rank", (Edit(end, end, " --kill-on-bad-exit=1"),))
            report.add(
                KILL, step.words[0].place, "srun without --kill-on-bad-exit=1 outlives a lost rank", fix
            )
        for word in step.words:
            for name in secret_variables():
                if f"{name}=" in word.text:
                    report.add(SECRET_ARGUMENT, word.place, f"the value of {name} is in the command line")


def check_file(container: Container, report: Report) -> None:
    """Rules about a file of variables."""
    secrets = [
        each for each in container.variables if each.name in secret_variables() and each.origin == "literal"
    ]
    file = Path(container.source.file)
    if secrets and file.is_file():
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            told = f"{secrets[0].name} is in a file of mode {mode:04o}; chmod 600 {file}"
            report.add(READABLE, secrets[0].place, told)
