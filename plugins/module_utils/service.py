"""What a container engine's service needs after its configuration was compared with the one it runs with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def fingerprint(
    config: str | None, reloadable: Sequence[str], files: Mapping[str, str | None]
) -> dict[str, str]:
    """Hashes of what a reload takes over and of what only a restart does."""
    document = json.loads(config) if config and config.strip() else {}
    soft = {key: value for key, value in document.items() if key in reloadable}
    hard = {key: value for key, value in document.items() if key not in reloadable}
    return {
        "reload": _hash(soft),
        "restart": _hash([hard, {path: text for path, text in files.items() if text}]),
    }


@dataclass(frozen=True)
class Applied:
    """The configuration that the running service has read."""

    reload: str
    restart: str

    @classmethod
    def of(
        cls, remembered: Mapping[str, Any] | None, invocation: str, now: Mapping[str, str], newer: bool
    ) -> Applied:
        """As remembered, or else guessed from the time of the service's start.

        A service that was started since, by whomever, has read what is there now, unless a file is
        ``newer`` than that start.
        """
        if remembered and remembered["invocation"] == invocation:
            return cls(remembered["applied"]["reload"], remembered["applied"]["restart"])
        return cls("unknown", "unknown") if newer else cls(now["reload"], now["restart"])


def actions(
    *,
    unit: str,
    active: bool,
    enabled: bool,
    applied: Applied,
    now: Mapping[str, str],
    expected_restart: bool,
    expected_reload: bool,
    ranks: Sequence[str],
) -> tuple[list[str], list[str]]:
    """The orders for systemctl, and what has to wait.

    ``expected_*``: what this run changed, or in check mode would change, in the configuration.
    """
    did = [] if enabled else ["enable"]
    if not active:
        return [*did, "start"], []
    restart = applied.restart != now["restart"] or expected_restart
    reload = applied.reload != now["reload"] or expected_reload
    if restart and not ranks:
        return [*did, "restart"], []
    if reload:
        did.append("reload")
    if not restart:
        return did, []
    names = ", ".join(ranks)
    return did, [
        f"{unit} has to be restarted to take over its new configuration. It was not, because that ends "
        "the ranks that run "
        f"here ({names}). In a quiet hour: systemctl restart {unit}"
    ]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
