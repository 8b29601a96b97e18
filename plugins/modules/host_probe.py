#!/usr/bin/python
# Copyright the nimctl authors
# SPDX-License-Identifier: Apache-2.0
"""What a host is: hardware, driver, RDMA, mounts, packages. Changes nothing and never hangs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_probe
short_description: Read what a host is, in one call
description:
  - Reads PCI devices, the NVIDIA driver that is loaded and those on disk, kernel modules, RDMA ports, network
    interfaces, mounts, CDI specifications, limits and kernel settings, and the packages that matter here.
  - Reads files below C(/proc), C(/sys), C(/dev), C(/etc), C(/boot), C(/lib/modules), C(/usr/lib) and
    C(/var/lib). Runs no program but C(rpm), and C(modinfo) where Python cannot unpack a module; changes
    nothing.
  - Ends within 20 seconds whatever hangs. A mount that does not answer is named in C(problems).
  - What cannot be read is missing from the result and named in C(problems), such as what needs root.
version_added: 0.2.0
options:
  kernel:
    description:
      - Where C(/proc), C(/sys) and C(/dev) are found. Another path than C(/) holds a recorded host.
    type: path
    default: /
  root:
    description: Where everything else is found.
    type: path
    default: /
  folders:
    description: Folders to look at, such as those that models are to lie in.
    type: list
    elements: path
    default: []
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Read the host
  nimctl.multinode.host_probe:
  register: probed

- name: Show the driver
  ansible.builtin.debug:
    msg: "{{ probed.host.driver.loaded }}, problems: {{ probed.host.problems | join('; ') }}"

# ansible -i inventories/prod all -m nimctl.multinode.host_probe
"""

RETURN = r"""
host:
  description: The host, as described in C(docs/explanation/probe.md).
  returned: success
  type: dict
  sample:
    gpus: [{address: "0000:0f:00.0", id: "10de:2330", driver: nvidia, model: NVIDIA H100 80GB HBM3}]
    driver: {loaded: 580.159.04, flavour: open, user_space: 580.159.04, users: [1834]}
    mounts: [{source: "store01:/srv/models", target: /models, type: nfs4, answers: false}]
    problems: ["/models (store01:/srv/models, nfs4) does not answer since 5 s"]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kernel": {"type": "path", "default": "/"},
            "root": {"type": "path", "default": "/"},
            "folders": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    for name in ("kernel", "root"):
        if not os.path.isdir(module.params[name]):
            module.fail_json(
                msg=f"{name}: found {module.params[name]}, expected a folder that exists on the node"
            )
    with told(module):
        places = (module.params[name] for name in ("root", "kernel", "folders"))
        module.exit_json(changed=False, host=probe(*places))


if __name__ == "__main__":
    main()
