#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: container_engine_info
short_description: Look at a node's container engine, and refuse one that cannot serve
description:
  - Says which version is installed, or would be installed, and which ranks run in it.
  - Fails, before anything was changed, where that version is too old for what the node needs.
version_added: 0.1.0
options:
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
    required: true
  package:
    description: The package that brings the engine, as far as the distribution has one.
    type: str
  from_distribution:
    description: Whether that package comes from the distribution, so that its version is known before it is
      installed.
    type: bool
    default: true
  minimum_version:
    description: The oldest version that serves. Empty means any.
    type: str
    default: ""
  reason:
    description: What needs that version, as the message says it.
    type: str
    default: ""
  removing:
    description: Whether the engine is about to be removed. Then containers that are no ranks are a reason to
      keep it.
    type: bool
    default: false
  must_exist:
    description: Whether an engine that is missing is an error.
    type: bool
    default: false
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Look at podman
  nimctl.multinode.container_engine_info:
    engine: podman
    package: podman
    minimum_version: "4.1"
    reason: GPUs by CDI
"""

RETURN = r"""
installed:
  description: The version on the node, or an empty text.
  returned: always
  type: str
candidate:
  description: The version that the distribution offers, or an empty text.
  returned: always
  type: str
ranks:
  description: Containers of ranks that run.
  returned: always
  type: list
  elements: str
pending:
  description: Why the engine is kept, if O(removing).
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import LABEL, Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import package_manager
from ansible_collections.nimctl.multinode.plugins.module_utils.versions import older, refusal

# Packages that bring the same commands and conflict with each other.
RIVALS = {"docker.io": ("docker-ce",), "docker-ce": ("docker.io", "moby-engine")}


def _refuse_foreign_packages(module: AnsibleModule, package: str) -> None:
    """An engine that came from elsewhere is not replaced: that would end its containers."""
    manager = package_manager(module.run_command)
    rivals = RIVALS.get(package, ())
    if manager is None or not rivals or manager.installed([package]):
        return
    found = sorted(manager.installed(rivals))
    if found:
        module.fail_json(
            msg=f"This node has {found[0]} and the description asks for {package}. Replacing it would end "
            "its containers, so nothing was changed. Set stack.container_engine.source to "
            f"{'docker' if found[0] == 'docker-ce' else 'distribution'}, or its mode to verify."
        )


def work(module: AnsibleModule) -> None:
    wanted = module.params
    engine = Engine(wanted["engine"], module.run_command)
    installed = candidate = ""
    if engine.binary is not None:
        # Both answer `--version` without their daemon: "Docker version 26.1.5+dfsg1, build a72d7cd".
        _, out, _ = engine.call("--version")
        installed = next((word.strip(",") for word in out.split() if word[0].isdigit()), "")
    elif wanted["must_exist"]:
        module.fail_json(
            msg=f"{engine.name} is not installed, and nimctl was told not to (mode verify). "
            f"Install it, or set stack.container_engine.mode to managed."
        )
    elif wanted["from_distribution"] and wanted["package"]:
        manager = package_manager(module.run_command)
        candidate = (manager and manager.candidate(wanted["package"])) or ""
    if installed and wanted["package"]:
        _refuse_foreign_packages(module, wanted["package"])
    version = installed or candidate
    if version and wanted["minimum_version"] and older(version, wanted["minimum_version"]):
        module.fail_json(
            msg=refusal(engine.name, version, wanted["minimum_version"], wanted["reason"], bool(installed)),
            installed=installed,
            candidate=candidate,
        )
    containers, broken = [], ""
    try:
        containers = engine.containers()
    except NodeError as error:
        # A part of it may be missing; the tasks that follow put it back.
        broken = str(error)
    ranks = sorted(
        container["name"] for container in containers if LABEL in container["labels"] and container["running"]
    )
    # Our own ranks are gone when the engine is to go, so whatever is left is somebody else's.
    others = sorted(container["name"] for container in containers)
    others += sorted(path.name for path in Path("/etc/systemd/system").glob("nim-*.service"))
    if wanted["removing"] and engine.binary is not None and not broken and not engine.answers():
        broken = "it does not answer"
    pending = []
    if wanted["removing"] and broken:
        pending = [f"{engine.name} was kept, because it does not say which containers it has: {broken}"]
    elif wanted["removing"] and others:
        pending = [
            f"{engine.name} was kept, with its settings, because others need it: "
            f"{', '.join(others)}. "
            "Remove them, and destroy again."
        ]
    module.exit_json(changed=False, installed=installed, candidate=candidate, ranks=ranks, pending=pending)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["docker", "podman"]},
            "package": {"type": "str"},
            "from_distribution": {"type": "bool", "default": True},
            "minimum_version": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "must_exist": {"type": "bool", "default": False},
            "removing": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
