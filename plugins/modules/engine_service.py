#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_service
short_description: Have the container engine's service run with its present configuration, without stopping
  ranks
description:
  - Starts and enables the service, and reloads or restarts it after its configuration changed.
  - A restart that is needed while ranks run does not happen. It is reported under RV(ignore:pending)
    instead, by this
    and by every later run, until the service was restarted by somebody.
  - Which configuration the service runs with is remembered in memory (C(/run/nimctl)), so that a restart is
    not
    forgotten when a run ends halfway.
  - Podman has no service; then this only checks that it answers.
version_added: 0.1.0
options:
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
    required: true
  unit:
    description: The service, or an empty text where the engine has none.
    type: str
    required: true
  config:
    description: The JSON file that the service reads.
    type: path
    default: /etc/docker/daemon.json
  reloadable:
    description: Top-level keys of O(config) that a reload takes over; all others need a restart.
    type: list
    elements: str
    default: []
  restart_files:
    description: Files whose change needs a restart, such as drop-ins of the unit.
    type: list
    elements: path
    default: []
  optional:
    description: Whether an engine that is not installed is fine.
    type: bool
    default: false
  expected_keys:
    description: Keys of O(config) that this run changes; lets check mode predict.
    type: list
    elements: str
    default: []
  expected_paths:
    description: Files that this run changes; lets check mode predict.
    type: list
    elements: path
    default: []
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Run docker with its present configuration
  nimctl.multinode.engine_service:
    engine: docker
    unit: docker.service
    reloadable: [live-restore, debug]
"""

RETURN = r"""
did:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
pending:
  description: What waits, and how to end the waiting.
  returned: always
  type: list
  elements: str
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import LABEL, SECRETS, Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import read, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.service import Applied, actions, fingerprint
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


def work(module: AnsibleModule) -> None:
    wanted = module.params
    engine = Engine(wanted["engine"], module.run_command)
    if wanted["optional"] and engine.binary is None:
        module.exit_json(changed=False, did=[], pending=[])
    if not wanted["unit"]:
        _answers(module, engine)
        module.exit_json(changed=False, did=[], pending=[])

    def order(*arguments: str) -> None:
        status, out, err = module.run_command(["systemctl", *arguments])
        if status != 0:
            lines = "\n  ".join(journal(module.run_command, wanted["unit"], 15))
            module.fail_json(
                msg=f"systemctl {' '.join(arguments)} failed: {err.strip() or out.strip()}\nThe last "
                "lines of "
                f"{wanted['unit']}:\n  {lines}"
            )

    if not module.check_mode:
        # The unit may be new, and a drop-in may have changed since systemd last looked.
        order("daemon-reload")
    state = show(module.run_command, [wanted["unit"]], ["ActiveState", "UnitFileState", "InvocationID"])[
        wanted["unit"]
    ]
    memory = SECRETS / f"{wanted['engine']}.json"
    remembered = json.loads(read(memory) or "null")
    now = fingerprint(
        read(wanted["config"]), wanted["reloadable"], {path: read(path) for path in wanted["restart_files"]}
    )
    ranks = sorted(container["name"] for container in engine.containers(LABEL) if container["running"])
    did, pending = actions(
        unit=wanted["unit"],
        active=state["ActiveState"] == "active",
        enabled=state["UnitFileState"] in ("enabled", "static", "indirect", "alias"),
        applied=Applied.of(remembered, state["InvocationID"], now, _written_since_start(module, wanted)),
        now=now,
        expected_restart=bool(set(wanted["expected_keys"]) - set(wanted["reloadable"]))
        or bool(wanted["expected_paths"]),
        expected_reload=bool(set(wanted["expected_keys"]) & set(wanted["reloadable"])),
        ranks=ranks,
    )
    if not module.check_mode:
        for action in did:
            order(action, wanted["unit"])
        _remember(module, memory, wanted["unit"], now, remembered, pending)
        _answers(module, engine)
    module.exit_json(changed=bool(did), did=did, pending=pending)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["docker", "podman"]},
            "unit": {"type": "str", "required": True},
            "config": {"type": "path", "default": "/etc/docker/daemon.json"},
            "reloadable": {"type": "list", "elements": "str", "default": []},
            "restart_files": {"type": "list", "elements": "path", "default": []},
            "optional": {"type": "bool", "default": False},
            "expected_keys": {"type": "list", "elements": "str", "default": []},
            "expected_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


def _written_since_start(module: AnsibleModule, wanted: dict) -> bool:
    """Whether a file that needs a restart is newer than the service's last start."""
    _, out, _ = module.run_command(
        [
            "systemctl",
            "show",
            "--timestamp=unix",
            "--property=ActiveEnterTimestamp",
            "--value",
            wanted["unit"],
        ]
    )
    started = out.strip().lstrip("@")
    times = [
        Path(path).stat().st_mtime
        for path in [wanted["config"], *wanted["restart_files"]]
        if Path(path).exists()
    ]
    # The start is given in whole seconds, cut off: a file of the same second was most likely written
    # before it.
    return started.isdigit() and any(time >= int(started) + 1 for time in times)


def _remember(
    module: AnsibleModule, memory: Path, unit: str, now: dict, remembered: dict | None, pending: list
) -> None:
    invocation = show(module.run_command, [unit], ["InvocationID"])[unit]["InvocationID"]
    applied = dict(now)
    if pending:
        # It still runs with the old configuration; that is what keeps the restart from being forgotten.
        applied["restart"] = (remembered or {}).get("applied", {}).get("restart", "unknown")
    content = {"invocation": invocation, "applied": applied}
    if content != remembered:
        write_atomic(memory, json.dumps(content) + "\n", 0o600)


def _answers(module: AnsibleModule, engine: Engine) -> None:
    if module.check_mode and engine.binary is None:
        return
    status, _, err = engine.call("info", "--format", "json" if engine.name == "podman" else "{{json .ID}}")
    if status != 0:
        module.fail_json(msg=f"{engine.name} does not answer: {err.strip()}")


if __name__ == "__main__":
    main()
