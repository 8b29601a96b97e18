"""What Ansible reports while it runs, reduced to what nimctl shows, counts and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "play",
    "task",
    "started",
    "ok",
    "failed",
    "unreachable",
    "skipped",
    "retry",
    "stats",
    "warning",
    "error",
    "output",
]

_KINDS: Mapping[str, Kind] = {
    "playbook_on_play_start": "play",
    "playbook_on_task_start": "task",
    "playbook_on_stats": "stats",
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
    "runner_retry": "retry",
    "warning": "warning",
    "system_warning": "warning",
    "error": "error",
    "verbose": "output",
}

HIDDEN = "the output is hidden because it may hold secrets (no_log); the journal of the node may say more"


@dataclass(frozen=True, slots=True)
class Event:
    """One report of Ansible.

    ``result`` is the module's result (for ``stats``: counts per host); ``text`` what Ansible printed,
    for warnings, errors and output; ``tolerated`` a failure that the playbook handles itself.
    """

    kind: Kind
    time: str = ""
    play: str = ""
    task: str = ""
    action: str = ""
    host: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    tolerated: bool = False

    @property
    def changed(self) -> bool:
        """Whether a task changed its node, or in check mode would have."""
        return self.kind == "ok" and self.result.get("changed") is True


def read(report: Mapping[str, Any]) -> Event | None:
    """Translate one event of ansible-runner; None for those that carry nothing."""
    kind = _KINDS.get(str(report.get("event")))
    if kind is None:
        return None
    data: Mapping[str, Any] = report.get("event_data") or {}
    text = ""
    if kind in ("warning", "error", "output"):
        text = str(report.get("stdout") or "").strip("\r\n")
        if not text.strip():
            return None
    return Event(
        kind=kind,
        time=str(report.get("created") or ""),
        play=str(data.get("play") or ""),
        task=_name(data),
        action=str(data.get("resolved_action") or data.get("task_action") or ""),
        host=str(data.get("host") or ""),
        result=data if kind == "stats" else (data.get("res") or {}),
        text=text,
        tolerated=bool(data.get("ignore_errors")),
    )


def _name(data: Mapping[str, Any]) -> str:
    # Ansible puts the name of the role before a task in one event and leaves it out in another.
    name = str(data.get("task") or data.get("name") or "")
    role = str(data.get("role") or data.get("resolved_role") or "")
    short = role.rpartition(".")[2]
    return name.removeprefix(f"{role} : ").removeprefix(f"{short} : ")


def message(result: Mapping[str, Any]) -> str:
    """Say in words why a task failed, from its result."""
    if "censored" in result:
        return HIDDEN
    items = result.get("results")
    if isinstance(items, list):
        failed = [
            item
            for item in items
            if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable"))
        ]
        if failed:
            return "\n".join(dict.fromkeys(message(item) for item in failed))
    parts = [_text(result.get("msg"))]
    for stream in ("stderr", "module_stderr"):
        tail = _tail(_text(result.get(stream)))
        if tail and tail not in parts[0]:
            parts.append(tail)
    if not any(parts):
        parts.append(_tail(_text(result.get("stdout")) or _text(result.get("module_stdout"))))
    parts.append(_hint("\n".join(parts)))
    return "\n".join(part for part in parts if part) or "the task failed and gave no reason"


HINTS: tuple[tuple[str, str], ...] = (
    (
        "Host key verification failed",
        "The node's host key is not known, or has changed. Connect once by hand (ssh USER@ADDRESS) and "
        "compare it, or name the file that has it as connection.known_hosts.",
    ),
    (
        "Permission denied (",
        "The node refuses the login: check connection.user and connection.key, and that the public key is on "
        "the node (ssh-copy-id).",
    ),
    (
        "Could not resolve hostname",
        "Give the node's address in the description (addresses), or mend the name service.",
    ),
    (
        "sudo: a password is required",
        "The user needs sudo without a password on the node, or pass -- --ask-become-pass.",
    ),
)
"""What to do about failures whose own words do not say it."""


def _hint(text: str) -> str:
    return next((hint for needle, hint in HINTS if needle in text), "")


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return "" if value is None else str(value).strip()


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.splitlines()[-lines:])
