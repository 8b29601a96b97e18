"""The filter that turns the settings of the role container_engine into what a node gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.nimctl.multinode.plugins.plugin_utils import engine_plan

DOCUMENTATION = r"""
name: container_engine_plan
short_description: What a container engine consists of on a node
description:
  - Turns the flat variables of the role P(nimctl.multinode.container_engine#role) into packages, files and
    keys of
    C(daemon.json), so that the role's tasks have nothing to decide.
version_added: 0.1.0
options:
  _input:
    description: The settings.
    type: dict
    required: true
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ (settings | nimctl.multinode.container_engine_plan).packages }}"
"""

RETURN = r"""
_value:
  description: The keys C(packages), C(repository_files), C(files), C(daemon_values), C(daemon_defaults),
    C(unit),
    C(minimum_version), C(reason) and C(log_max_bytes).
  type: dict
"""


def container_engine_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the role does, as data."""
    engine = settings["name"]
    registries = settings["registries"] or []
    cdi = bool(settings["cdi"])
    minimum = settings["minimum"][engine]["cdi" if cdi else "any"]
    try:
        files = engine_plan.configuration_files(engine, registries, settings["proxy"] or {})
        return {
            "packages": engine_plan.package_names(
                engine,
                settings["source"],
                settings["distribution"],
                settings["packages"],
                settings["packages_from_docker"],
            ),
            "repository_files": engine_plan.repository_files(
                settings["source"] if engine == "docker" else "distribution",
                settings["family"],
                {"key_url": settings["key_url"], "key_fingerprint": settings["key_fingerprint"]},
            ),
            "files": files,
            "daemon_values": engine_plan.daemon_values(engine, registries, settings["daemon"] or {}, cdi),
            "daemon_defaults": engine_plan.daemon_defaults(
                engine, settings["log_max_size"], settings["log_max_files"]
            ),
            "unit": "docker.service" if engine == "docker" else "",
            "minimum_version": minimum["version"],
            "reason": minimum["reason"],
            "log_max_bytes": engine_plan.size_in_bytes(settings["log_max_size"]),
        }
    except engine_plan.EngineError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name it."""
        return {"container_engine_plan": container_engine_plan}
