"""One run of one playbook for one verb: shown, recorded and judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from nimctl.errors import DONE, FAILED, PENDING, REJECTED
from nimctl.run import collection, playbook
from nimctl.run.display import choose, duration
from nimctl.run.events import Event
from nimctl.run.names import fold
from nimctl.run.progress import Node, Progress
from nimctl.run.records import Record
from nimctl.run.redact import Redactor

RUNS = Path(".nimctl", "runs")
"""Where run records go unless --run-dir says otherwise: below the current folder."""

Verdict = Literal["done", "failed", "rejected", "pending", "interrupted"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to run: a playbook of the collection against an inventory folder.

    ``nodes`` are the names that the run is about, for the table; ``arguments`` go to ansible-playbook as
    they are.
    """

    verb: str
    cluster: str
    playbook: str
    inventory: Path
    nodes: Sequence[str] = ()
    limit: str | None = None
    check: bool = False
    diff: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    runs: Path = RUNS

    def words(self) -> list[str]:
        """The command line of ansible-playbook."""
        words = [
            "ansible-playbook",
            str(collection.find().playbook(self.playbook)),
            "-i",
            str(self.inventory),
        ]
        words += ["--limit", self.limit] if self.limit else []
        words += ["--check"] if self.check else []
        words += ["--diff"] if self.diff else []
        if self.variables:
            words += ["-e", json.dumps(dict(self.variables))]  # key=value would make every value a text
        return [*words, *self.arguments]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went; ``exit_code`` is what nimctl ends with."""

    request: Request
    verdict: Verdict
    exit_code: int
    progress: Progress
    record: Path
    started: datetime
    ended: datetime
    why: str = ""

    def summary(self) -> dict[str, Any]:
        """The stable JSON shape of a run (docs/reference/json.md, "A run")."""
        progress = self.progress
        return {
            "verb": self.request.verb,
            "cluster": self.request.cluster,
            "check": self.request.check,
            "result": self.verdict,
            "exit_code": self.exit_code,
            "started": self.started.isoformat(timespec="seconds"),
            "ended": self.ended.isoformat(timespec="seconds"),
            "seconds": round((self.ended - self.started).total_seconds(), 1),
            "message": self.why,
            "record": str(self.record),
            "nodes": {node.name: _counts(node) for node in progress.nodes.values()},
            "stages": [
                {"name": stage.name, "seconds": round(stage.seconds or 0.0, 1), "changed": stage.changed}
                for stage in progress.stages
            ],
            "changed": [
                {"stage": change.stage, "task": change.task, "nodes": sorted(change.nodes)}
                for change in progress.changes
            ],
            "failed": [
                {
                    "stage": failure.stage,
                    "task": failure.task,
                    "nodes": sorted(failure.nodes),
                    "unreachable": failure.unreachable,
                    "message": failure.message,
                }
                for failure in progress.failures
            ],
            "warnings": list(progress.warnings),
            "pending": list(progress.pending),
        }


def _counts(node: Node) -> dict[str, Any]:
    return {
        "state": node.state,
        "ok": node.ok,
        "changed": node.changed,
        "failed": node.failed,
        "unreachable": node.unreachable,
        "skipped": node.skipped,
    }


def run(
    request: Request,
    console: Console,
    redactor: Redactor,
    listen: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    """Run the playbook; shows progress on ``console``, keeps a record and judges the end.

    ``listen`` gets every event, with secrets masked.
    """
    record = Record.open(request.runs, request.verb, redactor)
    progress = Progress(request.nodes)
    started = datetime.now(UTC)
    with choose(console, check=request.check) as display:

        def on_event(event: Event) -> None:
            clean = Event(**redactor.data({name: getattr(event, name) for name in Event.__slots__}))
            record.event(clean)
            listen(clean)
            display.show(progress, progress.apply(clean))

        def on_interrupt(count: int) -> None:
            if count == 1:
                console.print(
                    "[bold]Stopping:[/] Ansible ends the tasks that run now. Press Ctrl-C again to kill it.",
                    soft_wrap=True,
                )

        try:
            result = playbook.ansible(request.words(), handler=on_event, on_interrupt=on_interrupt)
        except BaseException:
            record.close(
                {"verb": request.verb, "cluster": request.cluster, "result": "failed", "exit_code": FAILED}
            )
            raise
        display.show(progress, progress.finish())
    verdict, code, why = judge(result, progress)
    outcome = Outcome(
        request=request,
        verdict=verdict,
        exit_code=code,
        progress=progress,
        record=record.folder,
        started=started,
        ended=datetime.now(UTC),
        why=why,
    )
    record.close(outcome.summary())
    return outcome


def judge(result: playbook.Result, progress: Progress) -> tuple[Verdict, int, str]:
    """The verdict on a run, its exit code and the reason: 0 done, 1 failed, 2 nothing touched, 3 pending."""
    if result.interrupted:
        return "interrupted", playbook.INTERRUPTED, "stopped on request; the next run carries on from here"
    if result.code == 0:
        return ("pending", PENDING, "; ".join(progress.pending)) if progress.pending else ("done", DONE, "")
    if progress.failures and progress.contacted:
        return "failed", FAILED, progress.failures[0].message
    said = "\n".join(failure.message for failure in progress.failures)
    said = said or "\n".join(dict.fromkeys(progress.errors)) or "\n".join(progress.output)
    said = said or f"ansible-playbook ended with exit code {result.code} and said nothing"
    if not progress.contacted:
        return "rejected", REJECTED, f"Nothing was done, no node was contacted:\n{said}"
    return "failed", FAILED, said


def conclude(outcome: Outcome, console: Console) -> None:
    """Say how the run ended, what it touched, what to do next and where its record is."""
    say = partial(console.print, soft_wrap=True)
    progress, verb = outcome.progress, outcome.request.verb
    took = duration((outcome.ended - outcome.started).total_seconds())
    touched = _touched(outcome)
    if outcome.verdict in ("done", "pending"):
        say(f"[green]{verb}: done[/] in {took}; {touched}.")
        for reason in progress.pending:
            say(f"  [yellow]pending[/] {escape(reason)}")
    elif outcome.verdict == "interrupted":
        say(f"[yellow]{verb}: stopped[/] after {took}; {touched} so far.")
        stage = f"It was in the stage {progress.stage}. " if progress.stage else ""
        say(f"  {escape(stage)}Run the same command again: it carries on.")
    elif outcome.verdict == "rejected":
        say(outcome.why, style="red", markup=False)
    else:
        failed = sorted({node for failure in progress.failures for node in failure.nodes})
        where = f" on {fold(failed)}" if failed else ""
        say(f"[bold red]{verb}: failed[/]{where} after {took}; {touched}.")
        if failed:
            say("  Mend the cause and run the same command again: it carries on.")
        else:
            say(outcome.why, markup=False)
    if outcome.verdict != "done":
        say(f"  Record of this run: {outcome.record}", markup=False)


def _touched(outcome: Outcome) -> str:
    changed = [node.name for node in outcome.progress.nodes.values() if node.changed]
    if changed:
        return f"{'would change' if outcome.request.check else 'changed'} {fold(changed)}"
    if outcome.request.check:
        return "nothing would change"
    return "nothing had to change" if outcome.verdict == "done" else "nothing was changed"
