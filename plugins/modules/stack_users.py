#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: stack_users
short_description: See who else uses the host stack before it is removed
description:
  - Names what would stop working without drivers and settings that were installed for a cluster. That is
    programs that have a GPU open, and ranks of other clusters.
  - Says as well whether a driver that was installed for the cluster is loaded, because it stays loaded until
    the next boot.
version_added: 0.2.0
options:
  kernel:
    description: Where C(/proc) is read below.
    type: path
    default: /
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: See who else uses the host stack
  nimctl.multinode.stack_users:
  register: users
"""

RETURN = r"""
users:
  description: Programs with their PIDs, and units of ranks.
  returned: success
  type: list
  elements: str
pending:
  description: Why the stack is kept, or that a reboot is needed once it is removed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.nvidia_module import loaded, users
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container

UNITS = Path("/etc/systemd/system")
DRIVER = "nvidia_driver"


def work(module: AnsibleModule) -> None:
    kernel = Path(module.params["kernel"])
    # Those of the cluster that is removed are gone by now.
    found = [*users(kernel), *sorted(path.name for path in UNITS.glob("nim-*.service"))]
    pending = []
    if found:
        pending.append(
            "drivers, RDMA and tuning were kept, because others use this node: "
            f"{', '.join(found)}. End them, and destroy again"
        )
    elif Record(DRIVER, "packages").content.get("names") and loaded(kernel) and not container():
        pending.append(
            f"reboot: the driver {loaded(kernel)} is removed, and its modules are loaded until the next boot"
        )
    module.exit_json(changed=False, users=found, pending=pending)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"kernel": {"type": "path", "default": "/"}}, supports_check_mode=True
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
