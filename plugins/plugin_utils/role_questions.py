"""What a role would ask its planner: its settings and context, from its own defaults and variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROLES = Path(__file__).resolve().parents[2] / "roles"


def has_role(role: str, folder: Path = ROLES) -> bool:
    """Whether the collection has a role that plans."""
    return (folder / role / "tasks" / "main.yml").is_file()


def question(
    role: str, variables: dict[str, Any], loader: Any, templar: Any, folder: Path = ROLES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and context as the role's own task would give them to C(stack_plan) on this host.

    Variables have the order of Ansible: what a role has in vars wins over the inventory, which wins over
    its defaults. Raises AnsibleError where one cannot be templated.
    """
    seen = role_files(folder / role, variables, loader)
    templar = templar.copy_with_new_env(available_variables=seen)
    settings, context = (
        templar.template(seen.get(f"__{role}_{name}", {})) for name in ("settings", "context")
    )
    return dict(settings or {}), dict(context or {})


def role_files(role: Path, variables: dict[str, Any], loader: Any) -> dict[str, Any]:
    """The variables that the tasks of a role in a folder would see, not templated yet."""
    return {
        **_file(role / "defaults" / "main.yml", loader),
        **variables,
        **_file(role / "vars" / "main.yml", loader),
    }


def _file(path: Path, loader: Any) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return dict(loader.load_from_file(str(path), trusted_as_template=True) or {})
