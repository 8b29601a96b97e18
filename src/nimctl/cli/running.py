"""What the verbs share that run a playbook of the collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nimctl.cli.app import messages
from nimctl.run import secrets, session
from nimctl.run.events import Event
from nimctl.run.redact import Redactor
from nimctl.run.target import Target


def run(
    verb: str,
    playbook: str,
    target: Target,
    *,
    limit: str | None,
    arguments: Sequence[str],
    runs: Path,
    check: bool = False,
    diff: bool = False,
    variables: Mapping[str, Any] | None = None,
    listen: Callable[[Event], None] = lambda event: None,
) -> session.Outcome:
    """Run one playbook on the nodes of a target, with progress on stderr and secrets masked everywhere.

    ``limit`` and ``arguments`` go to ansible-playbook as they are; ``runs`` is the folder for records.
    """
    request = session.Request(
        verb=verb,
        cluster=target.cluster,
        playbook=playbook,
        inventory=target.folder,
        nodes=target.limited(limit) or list(target.nodes),
        limit=limit,
        check=check,
        diff=diff,
        variables=variables or {},
        arguments=arguments,
        runs=runs,
    )
    return session.run(request, messages, Redactor(secrets.values(target.placement.cluster)), listen)
