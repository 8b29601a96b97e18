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
  state:
    description: Whether the key is wanted. C(absent) takes back a request that nobody has confirmed yet,
      and its password. A key stays, because DKMS signs the modules of others with it as well.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes]
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
  returned: O(state=present)
  type: str
pending:
  description: What somebody has to do at the console.
  returned: O(state=present)
  type: list
  elements: str
"""

import hashlib
import secrets
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import write_atomic

# Where DKMS keeps its certificate: Ubuntu's, everybody else's (sources of dkms 3.0.10 and 3.2.2).
CERTIFICATES = (Path("/var/lib/shim-signed/mok/MOK.der"), Path("/var/lib/dkms/mok.pub"))


def existing() -> Path | None:
    """The certificate that DKMS signs with."""
    return next((path for path in CERTIFICATES if path.exists()), None)


def make(module: AnsibleModule) -> Path:
    """Have the distribution's own tool make a certificate; where it lies then."""
    ubuntu = shutil.which("update-secureboot-policy") and Path("/var/lib/shim-signed").is_dir()
    command = ["update-secureboot-policy", "--new-key"] if ubuntu else ["dkms", "generate_mok"]
    if not shutil.which(command[0]):
        raise NodeError("DKMS is not installed, so there is no key for modules. Install dkms and openssl.")
    if not module.check_mode:
        run(module, command, f"`{' '.join(command)}` made no key")
    return CERTIFICATES[0] if ubuntu else CERTIFICATES[1]


def requested(module: AnsibleModule, certificate: Path) -> bool:
    """Whether the firmware will ask for this certificate at the next boot.

    A request that somebody has passed over at the console is gone, and one may be there for another key.
    mokutil lists all of a SHA-1 fingerprint with colons, or, from 0.7 on, five bytes of it before the name.
    """
    begin = hashlib.sha1(certificate.read_bytes(), usedforsecurity=False).hexdigest()[:10]
    _, out, _ = module.run_command(["mokutil", "--list-new"])
    listed = out.lower().replace("sha1 fingerprint: ", "").replace(":", "")
    return any(line.startswith(begin) for line in listed.splitlines())


def withdraw(module: AnsibleModule, certificate: Path) -> None:
    """Take a certificate out of the request, as mokutil does for one that is to be deleted."""
    run(
        module,
        ["mokutil", "--delete", str(certificate)],
        "the request to enroll the key was not taken back",
    )


def run(module: AnsibleModule, command: list[str], otherwise: str, **options: str) -> None:
    """Run a command that has to succeed. Raises NodeError."""
    status, out, err = module.run_command(command, **options)
    if status != 0:
        raise NodeError(f"{otherwise}: {(err or out).strip()}")


def request(module: AnsibleModule, place: Path) -> None:
    """Have a key and a request to enroll it."""
    if not shutil.which("mokutil"):
        raise NodeError(
            "mokutil is missing, by which the firmware is asked to enroll a key. Install mokutil."
        )
    there = existing()
    waiting = there is not None and requested(module, there)
    certificate = there or make(module)
    asked = waiting and place.exists()
    if not asked and not module.check_mode:
        if waiting:
            # Nobody knows its password any more, and mokutil asks for none where a key is waiting already.
            withdraw(module, certificate)
        password = secrets.token_hex(4)
        write_atomic(place, password + "\n", 0o600)
        run(
            module,
            ["mokutil", "--import", str(certificate)],
            "the firmware was not asked to enroll the key",
            data=f"{password}\n{password}\n",
        )
    pending = [
        f"enroll the key for modules: reboot, choose Enroll MOK at the console and give the password in "
        f"{place} (only root may read it). The driver is installed by the run after that"
    ]
    module.exit_json(changed=not asked, key=str(certificate), pending=pending)


def take_back(module: AnsibleModule, place: Path) -> None:
    """Take back a request of ours; the password file says that it is ours."""
    ours = place.exists()
    if ours and not module.check_mode:
        certificate = existing()
        if certificate and shutil.which("mokutil") and requested(module, certificate):
            withdraw(module, certificate)
        place.unlink()
    module.exit_json(changed=ours)


def work(module: AnsibleModule) -> None:
    place = Path(module.params["password_file"])
    if module.params["state"] == "absent":
        take_back(module, place)
    else:
        request(module, place)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "password_file": {
                "type": "path",
                "default": "/var/lib/nimctl/module-key-password",
                "no_log": False,
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
