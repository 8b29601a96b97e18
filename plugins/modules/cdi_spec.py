#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: cdi_spec
short_description: Keep the CDI specification of a node's GPUs as the node is
description:
  - Compares the specification that container engines go by with the device nodes, the driver and the files
    that the node has now, and has it written anew where they differ, such as after a change of the driver.
  - It is written by C(nvidia-cdi-refresh.service) of NVIDIA's package. Where a condition of that unit is not
    met, C(nvidia-ctk) is run directly.
  - Containers that got their GPUs by CDI keep them when systemd reads its configuration anew, because the
    engine itself has put the device nodes into the container. A hook for podman from earlier versions of the
    toolkit hands out the same GPUs a second time, without that; one that a package has left behind is taken
    out.
version_added: 0.2.0
options:
  owner:
    description: Who looks after the specification; one word, such as the name of a role.
    type: str
    required: true
  kind:
    description: The kind of device.
    type: str
    default: nvidia.com/gpu
  unit:
    description: The units that write the specification, without C(.service) and C(.path). They are enabled,
      and the second is started. Empty means none.
    type: str
    default: nvidia-cdi-refresh
  flags:
    description: Feature flags of C(nvidia-ctk cdi generate).
    type: list
    elements: str
    default: []
  below:
    description: The first version of CDI that an engine of this node cannot read. Empty means that each
      reads all.
    type: str
    default: ""
  kernel:
    description: Where C(/proc), C(/sys) and C(/dev) are found.
    type: path
    default: /
  hooks:
    description: Where podman's hook of earlier versions of the toolkit may lie.
    type: list
    elements: path
    default:
      - /usr/share/containers/oci/hooks.d/oci-nvidia-hook.json
      - /etc/containers/oci/hooks.d/oci-nvidia-hook.json
  state:
    description: Whether there shall be a specification. With V(absent) the one that was written for this
      owner goes, and hooks that were taken out come back.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have a CDI specification that fits the driver
  nimctl.multinode.cdi_spec:
    owner: nvidia_container_toolkit
"""

RETURN = r"""
wrong:
  description: What was wrong with the specification before this run.
  returned: O(state=present)
  type: list
  elements: str
did:
  description: The orders that were given for it, or would be in check mode.
  returned: always
  type: list
  elements: str
devices:
  description: The names of devices in the specification.
  returned: O(state=present)
  type: list
  elements: str
paths:
  description: Hooks that were taken out, or files that were given back.
  returned: always
  type: list
  elements: str
pending:
  description: What waits, and how to end the waiting.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.cdi_spec import (
    LEFTOVER,
    OUTPUT,
    Found,
    Renewal,
    docker_serves_cdi,
    driver_is_loaded,
    look,
    old_hook,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

NO_DRIVER = (
    "The CDI specification is written when the NVIDIA driver is loaded, which it is not now. Run again then, "
    "or let nvidia-cdi-refresh.service do it at the next boot."
)
NO_CDI = (
    "docker does not serve devices by CDI yet. Set features.cdi in /etc/docker/daemon.json "
    "(container_engine_cdi does), and restart docker in a quiet hour: systemctl restart docker.service"
)
HIDDEN = "{} is not of this driver, and hidden by {}. Remove it, unless something else reads it."
SECOND = (
    "{} belongs to {}, and hands GPUs to podman's containers a second time, which then lose them when "
    "systemd reads its configuration anew. Upgrade or remove what it belongs to."
)
STILL_WRONG = (
    "The CDI specification was written anew ({}) and still does not fit this node: {}. See whether "
    "nvidia-smi works, and what `nvidia-ctk cdi list` says."
)


def renewed(module: AnsibleModule, record: Record) -> dict:
    """Have a specification that fits: what was ``wrong``, what it ``did``, its ``devices``, what waits."""
    wanted = module.params

    def looked() -> Found:
        return look(Tree(kernel=wanted["kernel"]), wanted["kind"], wanted["below"])

    found = looked()
    for spec in found.hidden:
        if spec["stale"]:
            module.warn(HIDDEN.format(spec["path"], found.effective["path"]))
    renewal = Renewal(module.run_command, wanted["unit"], wanted["flags"])
    renewal.watch(module.check_mode)
    result = {"wrong": found.wrong, "did": renewal.did, "devices": [], "pending": []}
    if not found.wrong:
        return {**result, "devices": found.effective["devices"]}
    if not driver_is_loaded(Tree(kernel=wanted["kernel"])):
        return {**result, "pending": [NO_DRIVER]}
    if module.check_mode:
        return {**result, "did": [*renewal.did, f"write {OUTPUT}"]}
    if not Path(OUTPUT).exists():
        record.save({**record.content, "written": OUTPUT})
    now = looked() if renewal.by_unit() else found
    if now.wrong:
        renewal.directly()
        now = looked()
    if now.wrong:
        raise NodeError(STILL_WRONG.format("; ".join(renewal.did), "; ".join(now.wrong)))
    return {**result, "devices": now.effective["devices"]}


def hooks_taken_out(module: AnsibleModule, record: Record) -> list:
    """Take out hooks that packages have left behind; the paths."""
    taken = dict(record.content.get("hooks", {}))
    gone = []
    for path in module.params["hooks"]:
        whose = old_hook(module.run_command, path)
        if whose == LEFTOVER:
            gone.append(path)
            taken[path] = Path(path).read_text(encoding="utf-8")
        elif whose:
            module.warn(SECOND.format(path, whose))
    if gone and not module.check_mode:
        record.save({**record.content, "hooks": taken})
        for path in gone:
            Path(path).unlink()
    return gone


def given_back(module: AnsibleModule, record: Record) -> list:
    """Remove the specification that was written for this owner, and put hooks back; the paths."""
    paths = []
    written = record.content.get("written")
    if written and Path(written).exists():
        paths.append(written)
        if not module.check_mode:
            Path(written).unlink()
    for path, text in sorted(record.content.get("hooks", {}).items()):
        if not Path(path).exists():
            paths.append(path)
            if not module.check_mode:
                write_atomic(path, text, 0o644)
    if not module.check_mode:
        record.save({})
    return paths


def work(module: AnsibleModule) -> None:
    record = Record(module.params["owner"], "cdi")
    if module.params["state"] == "absent":
        paths = given_back(module, record)
        module.exit_json(changed=bool(paths), paths=paths, did=[], pending=[])
    result = renewed(module, record)
    gone = hooks_taken_out(module, record)
    if not docker_serves_cdi(module.run_command):
        result["pending"].append(NO_CDI)
    module.exit_json(changed=bool(result["did"] or gone), paths=gone, **result)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "kind": {"type": "str", "default": "nvidia.com/gpu"},
            "unit": {"type": "str", "default": "nvidia-cdi-refresh"},
            "flags": {"type": "list", "elements": "str", "default": []},
            "below": {"type": "str", "default": ""},
            "kernel": {"type": "path", "default": "/"},
            "hooks": {
                "type": "list",
                "elements": "path",
                "default": [
                    "/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json",
                    "/etc/containers/oci/hooks.d/oci-nvidia-hook.json",
                ],
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
