#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: dkms_trial
short_description: See whether a kernel module builds before its packages take the place of others
description:
  - Unpacks packages that are not installed into a temporary folder and lets DKMS build their module there,
    for one kernel. Nothing on the node changes, but for the key that DKMS makes to sign modules where it has
    none. Where the build fails, the module fails with the end of its log.
  - Where DKMS is not installed yet there is nothing to protect, and nothing is built.
version_added: 0.2.0
options:
  packages:
    description: The packages that hold what DKMS builds, with their exact versions.
    type: dict
    required: true
  kernel:
    description: The release of the kernel that it is built for.
    type: str
    required: true
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: See whether the new driver builds
  nimctl.multinode.dkms_trial:
    packages: {nvidia-kernel-open-dkms: 580.126.20-1}
    kernel: "{{ ansible_facts['kernel'] }}"
"""

RETURN = r"""
built:
  description: Whether the module was built.
  returned: success
  type: bool
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.dkms import trial
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "dict", "required": True},
            "kernel": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    can = bool(shutil.which("dkms") and given["packages"])
    # In check mode the packages have not been fetched.
    if can and not module.check_mode:
        with told(module), TemporaryDirectory(prefix="nimctl-") as folder:
            trial(module.run_command, given["packages"], given["kernel"], Path(folder))
    module.exit_json(changed=False, built=can and not module.check_mode)


if __name__ == "__main__":
    main()
