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
    description: The JSON file that the service reads, as P(nimctl.multinode.json_merge#module) returned it.
    type: dict
    default: {}
  drop_ins:
    description: Files whose change needs a restart, such as drop-ins of the unit, as
      P(nimctl.multinode.managed_files#module) returned them.
    type: list
    elements: dict
    default: []
  reloadable:
    description: Top-level keys of O(config) that a reload takes over; all others need a restart.
    type: list
    elements: str
    default: []
  optional:
    description: Whether an engine that is not installed is fine.
    type: bool
    default: false
  going:
    description: Whether this run removes the engine, so that nothing is left to run.
    type: bool
    default: false
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Run docker with its present configuration
  nimctl.multinode.engine_service:
    engine: docker
    unit: docker.service
    config: "{{ merged.file }}"
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
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import SECRETS, Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import read, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.service import Applied, actions, fingerprint
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


def work(module: AnsibleModule) -> None:
    wanted = module.params
    engine = Engine(wanted["engine"], module.run_command)
    if wanted["going"] or (wanted["optional"] and engine.binary is None):
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
    now = fingerprint(wanted["config"], wanted["drop_ins"], wanted["reloadable"], "after")
    before = fingerprint(wanted["config"], wanted["drop_ins"], wanted["reloadable"], "before")
    running = sorted(container["name"] for container in engine.containers() if container["running"])
    did, pending = actions(
        unit=wanted["unit"],
        active=state["ActiveState"] == "active",
        enabled=state["UnitFileState"] in ("enabled", "static", "indirect", "alias"),
        applied=Applied.of(remembered, state["InvocationID"], before, _written_since_start(module, wanted)),
        now=now,
        running=running,
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
            "config": {"type": "dict", "default": {}},
            "drop_ins": {"type": "list", "elements": "dict", "default": []},
            "reloadable": {"type": "list", "elements": "str", "default": []},
            "optional": {"type": "bool", "default": False},
            "going": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


def _written_since_start(module: AnsibleModule, wanted: dict) -> bool:
    """Whether somebody changed a file after the service's last start and before this run."""
    command = ["systemctl", "show", "--timestamp=unix", "--property=ActiveEnterTimestamp", "--value"]
    _, out, _ = module.run_command([*command, wanted["unit"]])
    started = out.strip().lstrip("@")
    times = [float(file["modified"]) for file in [wanted["config"], *wanted["drop_ins"]] if file]
    # The start is given in whole seconds, cut off: a file of that second was most likely there before it.
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
