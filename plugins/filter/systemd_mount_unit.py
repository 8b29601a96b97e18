"""The filter that names the unit of a mount point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.mounts import unit_of

DOCUMENTATION = r"""
name: systemd_mount_unit
short_description: Name the systemd unit that mounts a path
description:
  - The name that C(systemd-escape --path --suffix=mount) gives.
version_added: 0.2.0
options:
  _input:
    description: The absolute path of the mount point.
    type: str
    required: true
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '/srv/my-models' | nimctl.multinode.systemd_mount_unit }}"   # srv-my\x2dmodels.mount
"""

RETURN = r"""
_value:
  description: The name of the unit.
  type: str
"""


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name it."""
        return {"systemd_mount_unit": unit_of}
