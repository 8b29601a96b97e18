"""A CDI specification that fits the driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
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
}

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
    """Do it."""
    record = Record(module.params["owner"], "cdi")
    if module.params["state"] == "absent":
        paths = given_back(module, record)
        module.exit_json(changed=bool(paths), paths=paths, did=[], pending=[])
    result = renewed(module, record)
    gone = hooks_taken_out(module, record)
    if not docker_serves_cdi(module.run_command):
        result["pending"].append(NO_CDI)
    module.exit_json(changed=bool(result["did"] or gone), paths=gone, **result)
