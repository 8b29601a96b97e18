"""From a file to what rules look at; one module for each kind of file."""

from __future__ import annotations

import re

from nimctl.lint.containers import Kind

_NAMES: dict[Kind, re.Pattern[str]] = {
    "sbatch": re.compile(r"\.(sbatch|slurm)$"),
    "env": re.compile(r"(^|/)(\.env|[^/]*\.env)$"),
    "compose": re.compile(r"(^|/)(docker-)?compose[^/]*\.ya?ml$"),
}


def kind_of(file: str, text: str) -> Kind | None:
    """What kind of file this is, by its content first and its name second; None for none of ours."""
    if re.search(r"^#SBATCH\s", text, re.MULTILINE):
        return "sbatch"
    if re.search(r"^\s*apiVersion\s*:", text, re.MULTILINE) and re.search(
        r"^\s*kind\s*:", text, re.MULTILINE
    ):
        return "kubernetes"
    for kind, pattern in _NAMES.items():
        if pattern.search(file):
            return kind
    if re.search(r"^services\s*:", text, re.MULTILINE):
        return "compose"
    if re.search(r"\b(docker|podman|nerdctl)\b[^\n]*\brun\b", text) or re.match(
        r"#!.*\b(ba|da|z|k)?sh\b", text
    ):
        return "docker"
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(re.match(r"\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*=", line) for line in lines):
        return "docker" if any(line.lstrip().startswith("export ") for line in lines) else "env"
    return None
