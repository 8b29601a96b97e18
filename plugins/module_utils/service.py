"""What a container engine's service needs after its configuration was compared with the one it runs with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def fingerprint(
    config: Mapping[str, Any], drop_ins: Sequence[Mapping[str, Any]], reloadable: Sequence[str], when: str
) -> dict[str, str]:
    """Hashes of what a reload takes over and of what only a restart does, ``before`` or ``after`` this run.

    ``config`` has the text of the JSON file under these two names, ``drop_ins`` any text that differs with
    the content; an empty one means no file.
    """
    text = config.get(when, "")
    document = json.loads(text) if text.strip() else {}
    soft = {key: value for key, value in document.items() if key in reloadable}
    hard = {key: value for key, value in document.items() if key not in reloadable}
    files = {file["path"]: file[when] for file in drop_ins if file[when]}
    return {"reload": _hash(soft), "restart": _hash([hard, files])}


@dataclass(frozen=True)
class Applied:
    """The configuration that the running service has read."""

    reload: str
    restart: str

    @classmethod
    def of(
        cls, remembered: Mapping[str, Any] | None, invocation: str, before: Mapping[str, str], newer: bool
    ) -> Applied:
        """As remembered, or else guessed from the time of the service's start.

        A service that was started since, by whomever, has read what was there ``before`` this run, unless
        a file is ``newer`` than that start.
        """
        if remembered and remembered["invocation"] == invocation:
            return cls(remembered["applied"]["reload"], remembered["applied"]["restart"])
        return cls("unknown", "unknown") if newer else cls(before["reload"], before["restart"])


def actions(
    *,
    unit: str,
    active: bool,
    enabled: bool,
    applied: Applied,
    now: Mapping[str, str],
    running: Sequence[str],
) -> tuple[list[str], list[str]]:
    """The orders for systemctl, and what has to wait."""
    did = [] if enabled else ["enable"]
    if not active:
        return [*did, "start"], []
    restart = applied.restart != now["restart"]
    reload = applied.reload != now["reload"]
    if restart and not running:
        return [*did, "restart"], []
    if reload:
        did.append("reload")
    if not restart:
        return did, []
    names = ", ".join(running)
    return did, [
        f"{unit} has to be restarted to take over its new configuration. It was not, because that ends "
        f"the containers that run here ({names}). In a quiet hour: systemctl restart {unit}"
    ]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
