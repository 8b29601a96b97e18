"""Node sets where Ansible expects host patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

try:
    from nimctl.description.nodeset import NodeSetError, expand
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

DOCUMENTATION = r"""
name: node_set
short_description: Write a node set as a host pattern
description:
  - Ansible reads C(gpu[01-04]) otherwise than ClusterShell. This names every node.
version_added: 0.1.0
options:
  _input:
    description: A node set such as C(gpu[01-04]), or a plain name such as that of a group.
    type: str
    required: true
requirements:
  - the Python package nimctl in the environment of ansible-core
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ 'gpu[01-02]' | nimctl.multinode.node_set }}"   # gpu01,gpu02
"""

RETURN = r"""
_value:
  description: A host pattern.
  type: str
"""


def node_set(text: str) -> str:
    """``gpu[01-02]`` as ``gpu01,gpu02``."""
    if IMPORT_ERROR is not None:
        raise AnsibleFilterError(
            "the Python package nimctl is missing in the environment of ansible-core; install it there "
            f"with `pip install nimctl` ({IMPORT_ERROR})"
        )
    try:
        return ",".join(dict.fromkeys(expand(str(text))))
    except NodeSetError as error:
        raise AnsibleFilterError(f"{text}: expected a node set such as gpu[01-04]: {error}") from error


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"node_set": node_set}
