"""Packages that a layer needs: present at their versions and held, or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Outcome
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import (
    PackageError,
    package_manager,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.owned import Owned
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import SPEC as REPOSITORY
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import Repository

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "owner": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "versions": {"type": "dict", "default": {}},
    "hold": {"type": "list", "elements": "str", "default": []},
    "family": {"type": "list", "elements": "str", "default": []},
    "repositories": {"type": "list", "elements": "dict", "default": [], "options": REPOSITORY},
    "replaces": {"type": "list", "elements": "str", "default": []},
    "download_only": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def work(module: AnsibleModule) -> None:
    """Do it."""
    try:
        _work(module)
    except PackageError as error:
        raise NodeError(f"{error}") from error


def _work(module: AnsibleModule) -> None:
    manager = package_manager(lambda command, **options: module.run_command(command, **options))
    if manager is None:
        module.fail_json(
            msg="This node has neither apt nor dnf. Debian, Ubuntu and the RHEL family are supported."
        )
    parameters = module.params
    owned = Owned(manager, parameters["owner"], module.check_mode)
    if parameters["state"] == "absent":
        outcome, names, before = owned.remove(parameters["names"])
        answer(module, outcome, names, before, {name: v for name, v in before.items() if name not in names})
        return
    wanted = {**dict.fromkeys(parameters["names"], ""), **parameters["versions"]}
    before = manager.installed([*wanted, *parameters["replaces"]])
    done = owned.have(
        wanted,
        repositories=[Repository.of(given) for given in parameters["repositories"]],
        replaces=parameters["replaces"],
        hold=parameters["hold"],
        family=parameters["family"],
        download_only=parameters["download_only"],
    )
    after = {name: version for name, version in before.items() if name not in done.names}
    if parameters["download_only"]:
        after = before
    else:
        after.update({name: wanted[name] or "new" for name in done.names if name in wanted})
    if not module.check_mode:
        after = manager.installed([*wanted, *parameters["replaces"]])
    answer(module, done.outcome, done.names, before, after, installed=after, held=done.held)


def answer(module: AnsibleModule, outcome: Outcome, names: list, before: dict, after: dict, **more) -> None:
    """End the module with what changed."""
    texts = ["".join(f"{name} {version}\n" for name, version in sorted(x.items())) for x in (before, after)]
    diff = {
        "before_header": "packages",
        "after_header": "packages",
        "before": texts[0],
        "after": texts[1],
    }
    module.exit_json(
        changed=bool(names or outcome.changed or more.get("held")),
        names=names,
        paths=outcome.changed,
        diff=[*outcome.diff, *([diff] if texts[0] != texts[1] else [])],
        **more,
    )
