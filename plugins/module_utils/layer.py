"""The parts of a layer, one after another in one process: what the modules of these names would do alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NoReturn

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.parts import (
    cdi_spec,
    folders,
    json_merge,
    kernel_command_line,
    kernel_modules,
    kernel_settings,
    managed_files,
    packages,
    units,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

PARTS = {
    "cdi_spec": cdi_spec,
    "folders": folders,
    "json_merge": json_merge,
    "kernel_command_line": kernel_command_line,
    "kernel_modules": kernel_modules,
    "kernel_settings": kernel_settings,
    "managed_files": managed_files,
    "packages": packages,
    "units": units,
}


class Ended(Exception):  # noqa: N818 - also the normal end of a part
    """A part has ended; carries its result."""

    def __init__(self, result: Dict[str, Any]) -> None:
        super().__init__()
        self.result = result


class Part:
    """As much of AnsibleModule as the work of a part needs."""

    def __init__(self, module: AnsibleModule, params: Dict[str, Any]) -> None:
        self.params = params
        self.check_mode = module.check_mode
        self.run_command = module.run_command
        self.get_bin_path = module.get_bin_path
        self.warn = module.warn

    def exit_json(self, **result: Any) -> NoReturn:
        """End with a result."""
        raise Ended(result)

    def fail_json(self, **result: Any) -> NoReturn:
        """End with a message."""
        raise Ended({**result, "failed": True})


def params_of(name: str, given: Dict[str, Any], owner: str) -> Dict[str, Any]:
    """The arguments of a part with its defaults. Raises NodeError."""
    if name not in PARTS:
        raise NodeError(f"parts: found {name!r}, expected one of {', '.join(sorted(PARTS))}")
    checked = ArgumentSpecValidator(PARTS[name].SPEC).validate({"owner": owner, **given})
    if checked.error_messages:
        raise NodeError(f"{name}: {'; '.join(checked.error_messages)}")
    return checked.validated_parameters


def done(module: AnsibleModule, name: str, params: Dict[str, Any]) -> Dict[str, Any]:
    """The result of one part."""
    try:
        PARTS[name].work(Part(module, params))
    except Ended as end:
        return end.result
    raise AssertionError(f"{name} has ended without a result")


def work(module: AnsibleModule) -> None:
    """Do all parts; the first that fails ends it."""
    owner = module.params["owner"]
    wanted = []
    for entry in module.params["parts"]:
        if len(entry) != 1:
            raise NodeError(f"parts: found {sorted(entry)}, expected one name with its arguments in each")
        ((name, given),) = entry.items()
        # All are looked at before the first changes anything.
        wanted.append((name, params_of(name, given or {}, owner)))
    results: List[Dict[str, Any]] = []
    diff: List[Dict[str, Any]] = []
    for name, params in wanted:
        result = done(module, name, params)
        diff += result.pop("diff", [])
        results.append({"part": name, **result})
        if result.get("failed"):
            module.fail_json(msg=result["msg"], **together(results), diff=diff)
    module.exit_json(**together(results), diff=diff)


def together(results: List[Dict[str, Any]]) -> Dict[str, Any]:
    """What the parts say as one."""
    said: Dict[str, Any] = {"changed": any(result.get("changed") for result in results), "parts": results}
    for word in ("pending", "not_here"):
        lines = [line for result in results for line in result.get(word) or []]
        said[word] = list(dict.fromkeys(lines))
    return said
