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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.cdi_spec import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
