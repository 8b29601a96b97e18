"""Rendering a role's templates for action plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import generate_ansible_template_vars, trust_as_template


def render(action: ActionBase, template: str, variables: dict[str, Any], task_vars: dict[str, Any]) -> str:
    """Render a template of the role that the task is in, with variables besides those of the task."""
    try:
        source = action._find_needle("templates", template)
    except AnsibleError as error:
        raise AnsibleActionFail(str(error)) from error
    text = trust_as_template(action._loader.get_text_file_contents(source))
    available = {
        **task_vars,
        **generate_ansible_template_vars(path=template, fullpath=source),
        **variables,
    }
    templar = action._templar.copy_with_new_env(
        searchpath=[str(Path(source).parent)], available_variables=available
    )
    return str(
        templar.template(
            text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True}
        )
    )


def completed(action: ActionBase, entry: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """A file of ``managed_files`` with its content, which a template or the controller may have."""
    template = entry.pop("template", None)
    variables = entry.pop("variables", {})
    source = entry.pop("source", None)
    if template:
        entry["content"] = render(action, template, variables, task_vars)
    elif source:
        try:
            entry["content"] = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise AnsibleActionFail(f"{source} cannot be read on the controller: {error.strerror}") from error
    return entry
