"""``nimctl lint``: what does not work in manifests and scripts that people already have."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nimctl.cli.app import messages, print_json
from nimctl.errors import FAILED, NimctlError, RejectedError

if TYPE_CHECKING:
    from nimctl.lint.check import Text
    from nimctl.lint.model import Finding

FORMATS = ("text", "json", "github")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(lint)


def lint(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|DIR|-", help="Files, folders, or - for standard input.", show_default=False
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Apply mechanical remedies: a diff, or new files with --output.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="PATH", help="With --fix: the new file, or a folder for several."),
    ] = None,
    severity: Annotated[
        str, typer.Option("--severity", help="The least that is told: error, warning or info.")
    ] = "info",
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="RULE", help="What a rule is about; `all` lists them.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="text, json or github.")] = "text",  # noqa: A002
) -> None:
    """Find what does not work in manifests, docker commands, compose files, job scripts and env files.

    Each finding begins with file, line and column; what is missing is told at the line of the object that
    lacks it. `--fix` shows the mechanical remedies as a diff, and with `--output` writes them to new files. A
    comment `# nimctl: ignore[RULE]` on the line or above it allows what it found. Exit code 0: nothing was
    found; 1: something was; 2: a file cannot be read.
    """
    from nimctl.lint.check import check
    from nimctl.lint.files import read
    from nimctl.lint.model import SEVERITIES

    if format not in FORMATS:
        raise RejectedError(f"--format {format}: expected {', '.join(FORMATS)}")
    if severity not in SEVERITIES:
        raise RejectedError(f"--severity {severity}: expected {', '.join(SEVERITIES)}")
    if explain is not None:
        _explain(explain, as_json=format == "json")
        return
    if output is not None and not fix:
        raise RejectedError("--output is for --fix")
    if not files:
        raise RejectedError("give a file, a folder, or - for standard input")
    texts = read(files)
    if not texts:
        messages.print("nothing to check: no manifest, script, compose file, job script or env file")
    wanted = SEVERITIES[: SEVERITIES.index(severity) + 1]
    if fix:
        texts = _fix(texts, output)
    findings = [finding for finding in check(texts) if finding.severity in wanted]
    # A diff is for `patch`: nothing else may stand on stdout beside it.
    to_stdout = not fix or output is not None or format != "text"
    _tell(findings, format, to_stdout=to_stdout)
    if findings:
        raise typer.Exit(FAILED)


def _fix(texts: Sequence[Text], output: Path | None) -> list[Text]:
    """Apply remedies and show or write what becomes of the files."""
    from nimctl.lint.fixes import difference, fix

    fixed = fix(texts)
    if output is None:
        for before, after in zip(texts, fixed, strict=True):
            sys.stdout.write(difference(before, after))
        return fixed
    many = len(fixed) > 1 or output.is_dir()
    names = [Path(each.file).name if each.file != "<stdin>" else "stdin" for each in fixed]
    root = _common(fixed)
    for each, name in zip(fixed, names, strict=True):
        inside = (
            Path(each.file).resolve().relative_to(root) if root and each.file != "<stdin>" else Path(name)
        )
        target = output / inside if many else output
        if each.file != "<stdin>" and target.resolve() == Path(each.file).resolve():
            raise RejectedError(f"{target} is the file that was read; --output writes a new one")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("w", encoding="utf-8", newline="") as stream:
                stream.write(each.text)
        except OSError as error:
            raise NimctlError(f"{target} cannot be written: {error.strerror}") from error
        messages.print(f"{target}: written", markup=False, soft_wrap=True)
    return fixed


def _common(texts: Sequence[Text]) -> Path | None:
    """The innermost folder that holds all files."""
    parents = [Path(each.file).resolve().parent for each in texts if each.file != "<stdin>"]
    if not parents:
        return None
    return next(
        folder
        for folder in (parents[0], *parents[0].parents)
        if all(p.is_relative_to(folder) for p in parents)
    )


def as_json(finding: Finding) -> dict[str, Any]:
    """One finding, as ``--format json`` lists it."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "fix": finding.fix.what if finding.fix else None,
    }


def _tell(findings: Sequence[Finding], output: str, *, to_stdout: bool) -> None:
    if output == "json":
        print_json([as_json(finding) for finding in findings])
        return
    for finding in findings:
        line = _github(finding) if output == "github" else str(finding)
        if to_stdout:
            typer.echo(line)
        else:
            messages.print(line, markup=False, soft_wrap=True)
    from nimctl.lint.model import SEVERITIES

    counts = Counter(finding.severity for finding in findings)
    told = ", ".join(
        f"{counts[each]} {each}{'' if counts[each] == 1 else 's'}" for each in SEVERITIES if counts[each]
    )
    fixable = sum(finding.fix is not None for finding in findings)
    hint = f"; --fix mends {fixable}" if fixable else ""
    messages.print(f"{told}{hint}" if findings else "nothing found")


def _github(finding: Finding) -> str:
    """A workflow command of GitHub Actions, which shows the finding at its line."""
    kind = {"error": "error", "warning": "warning", "info": "notice"}[finding.severity]
    place = f"file={_property(finding.file)},line={finding.line},col={finding.column}"
    return f"::{kind} {place},title={_property(finding.rule)}::{_data(finding.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _explain(name: str, *, as_json: bool) -> None:
    from nimctl.lint import check  # noqa: F401 - declares the rules
    from nimctl.lint.model import RULES

    chosen = list(RULES.values()) if name == "all" else [RULES[name]] if name in RULES else []
    if not chosen:
        raise RejectedError(f"{name} is no rule; `nimctl lint --explain all` lists them")
    if as_json:
        print_json(
            [
                {
                    "rule": each.id,
                    "severity": each.severity,
                    "title": each.title,
                    "why": each.why,
                    "source": each.source,
                    "kinds": list(each.kinds),
                }
                for each in chosen
            ]
        )
        return
    if name == "all":
        for each in sorted(chosen, key=lambda rule: rule.id):
            typer.echo(f"{each.id:28} {each.severity:8} {each.title}")
        return
    for each in chosen:
        typer.echo(f"{each.id} ({each.severity}): {each.title}")
        typer.echo(textwrap.fill(each.why, 100))
        typer.echo(f"Looked for in: {', '.join(each.kinds)}. Source: {each.source}")
