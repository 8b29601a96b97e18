#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: module_key
short_description: Have a key that signs kernel modules, and ask the firmware to enroll it
description:
  - With Secure Boot on, the kernel loads only modules that are signed with a key that the firmware knows.
    DKMS signs what it builds with a key of the node; somebody has to confirm at the console that the firmware
    may trust it.
  - Makes the key where there is none, and prepares the request. The firmware asks for a password at the next
    boot; it lies in a file on the node that only root may read.
version_added: 0.2.0
options:
  password_file:
    description: Where the password for the console lies.
    type: path
    default: /var/lib/nimctl/module-key-password
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Prepare the key for modules
  nimctl.multinode.module_key: {}
  register: key
"""

RETURN = r"""
key:
  description: The certificate.
  returned: success
  type: str
pending:
  description: What somebody has to do at the console, or nothing.
  returned: success
  type: list
  elements: str
"""

import secrets
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import read, write_atomic

# Where DKMS keeps its certificate: Ubuntu's, everybody else's (sources of dkms 3.0.10 and 3.2.2).
CERTIFICATES = (Path("/var/lib/shim-signed/mok/MOK.der"), Path("/var/lib/dkms/mok.pub"))


def made(module: AnsibleModule) -> Path:
    """The certificate, made by the distribution's own tool where there is none."""
    for path in CERTIFICATES:
        if path.exists():
            return path
    ubuntu = shutil.which("update-secureboot-policy") and Path("/var/lib/shim-signed").is_dir()
    command = ["update-secureboot-policy", "--new-key"] if ubuntu else ["dkms", "generate_mok"]
    if not module.check_mode:
        if not shutil.which(command[0]):
            raise NodeError(
                "DKMS is not installed, so there is no key for modules. Install dkms and openssl."
            )
        status, out, err = module.run_command(command)
        if status != 0:
            raise NodeError(f"`{' '.join(command)}` made no key: {(err or out).strip()}")
    return CERTIFICATES[0] if ubuntu else CERTIFICATES[1]


def work(module: AnsibleModule) -> None:
    there = any(path.exists() for path in CERTIFICATES)
    certificate = made(module)
    place = Path(module.params["password_file"])
    pending = [
        f"enroll the key for modules: reboot, choose Enroll MOK at the console and give the password in "
        f"{place} (only root may read it). The driver is installed by the run after that"
    ]
    if not shutil.which("mokutil"):
        raise NodeError(
            "mokutil is missing, by which the firmware is asked to enroll a key. Install mokutil."
        )
    _, waiting, _ = module.run_command(["mokutil", "--list-new"])
    asked = there and read(place) is not None and bool(waiting.strip())
    if not asked and not module.check_mode:
        password = secrets.token_hex(4)
        write_atomic(place, password + "\n", 0o600)
        status, out, err = module.run_command(
            ["mokutil", "--import", str(certificate)], data=f"{password}\n{password}\n"
        )
        if status != 0:
            raise NodeError(f"the firmware was not asked to enroll the key: {(err or out).strip()}")
    module.exit_json(changed=not asked, key=str(certificate), pending=pending)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "password_file": {
                "type": "path",
                "default": "/var/lib/nimctl/module-key-password",
                "no_log": False,
            }
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
