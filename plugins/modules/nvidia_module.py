#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_module
short_description: Have the NVIDIA driver loaded that is installed
description:
  - Where another version is loaded, unloads its modules and loads those on disk. The driver's own services
    (persistence daemon, Fabric Manager, IMEX, DCGM) stop for it and start again.
  - It does not do that while any other program has a GPU open, nor where the kernel is somebody else's. What
    has to wait for a reboot is reported under RV(ignore:pending).
version_added: 0.2.0
options:
  version:
    description: The version that is installed.
    type: str
    required: true
  kernel:
    description: Where C(/proc) and C(/sys) are read below. Nothing is loaded where it is not the node's own.
    type: path
    default: /
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Load the driver that was installed
  nimctl.multinode.nvidia_module:
    version: 580.126.20
  register: loaded
"""

RETURN = r"""
loaded:
  description: The version that is loaded after the run.
  returned: success
  type: str
pending:
  description: Why a reboot is needed, or nothing.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.nvidia_module import loaded, replace


def work(module: AnsibleModule) -> None:
    version, kernel = module.params["version"], Path(module.params["kernel"])
    before = loaded(kernel)
    if before == version:
        module.exit_json(changed=False, loaded=before, pending=[])
    if module.check_mode:
        module.exit_json(changed=True, loaded=version, pending=[])
    own = str(kernel) == "/" and Path("/sys/module/nvidia").exists()
    reason = replace(module.run_command, version, kernel) if own else "the kernel is not this node's own"
    now = loaded(kernel)
    pending = [f"reboot to load the driver {version}: {before or 'none'} is loaded, and {reason}"]
    module.exit_json(changed=now != before, loaded=now, pending=pending if reason else [])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "kernel": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
