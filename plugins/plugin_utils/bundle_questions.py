"""What the roles would ask and install on a node that is known only by its recorded system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.nimctl.multinode.plugins.plugin_utils.role_questions import (
    ROLES,
    has_role,
    question,
    role_files,
)

FAMILIES = {"debian": "Debian", "ubuntu": "Debian"}
NAMES = {"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RedHat", "rocky": "Rocky", "almalinux": "AlmaLinux"}


def facts(system: Mapping[str, Any]) -> dict[str, Any]:
    """Ansible's facts about a distribution, from what C(host_probe) has read."""
    name, version = system.get("distribution", ""), str(system.get("version", ""))
    return {
        "distribution": NAMES.get(name, name),
        "distribution_version": version,
        "distribution_major_version": version.partition(".")[0],
        "distribution_release": system.get("codename", ""),
        "os_family": FAMILIES.get(name, "RedHat"),
    }


def layers_of(groups: list[str]) -> list[str]:
    """The layers that apply to a node in these groups."""
    prefix = "nim_layer_"
    return sorted(group.removeprefix(prefix) for group in groups if group.startswith(prefix))


def questions(
    variables: dict[str, Any], system: Mapping[str, Any], roles: Mapping[str, str], loader: Any, templar: Any
) -> dict[str, Any]:
    """Settings and context of each layer, and the packages of the engine with their repository.

    Raises AnsibleError where a variable cannot be templated.
    """
    layers = {
        layer: question(roles[layer], variables, loader, templar)
        for layer in layers_of(variables["group_names"])
        if has_role(roles[layer])
    }
    return {"layers": layers, **_engine(variables, system, loader, templar)}


def _engine(
    variables: dict[str, Any], system: Mapping[str, Any], loader: Any, templar: Any
) -> dict[str, Any]:
    role = ROLES / "container_engine"
    seen = role_files(role, variables, loader) | {"ansible_facts": facts(system)}
    own = templar.copy_with_new_env(available_variables=seen)
    if own.template(seen["container_engine_mode"]) != "managed":
        return {"engine": [], "engine_repository": None}
    plan = own.template(seen["__container_engine_plan"])
    files = [file for file in plan["repository_files"] if file.get("url")]
    if not files:
        return {"engine": list(plan["packages"]), "engine_repository": None}
    if not system.get("codename") and facts(system)["os_family"] == "Debian":
        raise AnsibleError("docker's repository needs the codename of the distribution; record the nodes")
    part = own.template(seen["__container_engine_repository_part"])
    base = f"{own.template(seen['container_engine_repository_url'])}/{part}"
    is_apt = facts(system)["os_family"] == "Debian"
    major = facts(system)["distribution_major_version"]
    repository = {
        "id": "docker",
        "kind": "apt" if is_apt else "dnf",
        "url": base if is_apt else f"{base}/{major}/{system.get('architecture', '')}/stable",
        "key_url": files[0]["url"],
        "fingerprint": files[0]["fingerprint"],
        "suite": system.get("codename", "") if is_apt else "/",
        "components": ["stable"] if is_apt else [],
        "architectures": [],
    }
    return {"engine": list(plan["packages"]), "engine_repository": repository}
