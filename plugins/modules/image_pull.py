#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Have the images of ranks on a node, without leaving a password there
description:
  - Pulls the images that are missing. Images that are there need no network and no password.
  - A password reaches the engine in a file in memory that only root can read and that is gone when the pull
    ends.
    It is never on a command line, in a log or in a lasting file.
  - Runs on the controller first, where it reads the secrets of the logins that are needed.
version_added: 0.1.0
options:
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
    required: true
  images:
    description: Image references, by digest where they have to stay what they are.
    type: list
    elements: str
    required: true
  logins:
    description: Logins of private registries; each names a secret.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The registry, as it stands in image references.
        type: str
        required: true
      username:
        description: The name to log in with.
        type: str
        required: true
      secret:
        description: The entry of O(secrets) with the password.
        type: str
      password:
        description: The password. Set by the action plugin.
        type: str
  secrets:
    description: Where secrets are read on the controller, as in C(nim_secrets).
    type: dict
    default: {}
  only_look:
    description: Only say what is missing. Set by the action plugin.
    type: bool
    default: false
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Pull the images of this node's ranks
  nimctl.multinode.image_pull:
    engine: podman
    images: "{{ nim_ranks | map(attribute='image') | unique }}"
    logins: [{host: nvcr.io, username: $oauthtoken, secret: ngc_api_key}]
    secrets: {ngc_api_key: {env: NGC_API_KEY}}
"""

RETURN = r"""
images:
  description: The images that were missing.
  returned: always
  type: list
  elements: str
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils import bundle, bundle_registry
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import (
    SECRETS,
    Engine,
    auth_file,
    login_for,
    pull_hint,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told


def pull(engine: Engine, image: str, login: dict | None) -> tuple[int, str, str]:
    """Pull with a login that exists for this moment only; what came with a bundle needs none."""
    blobs = bundle.FOLDER / bundle.BLOBS
    if bundle.active() and bundle_registry.has(blobs, image):
        if engine.name == "podman":
            with bundle_registry.for_podman(blobs, image) as environment:
                return engine.call("pull", "--quiet", image, environ_update=environment)
        with bundle_registry.for_docker(blobs, image):
            return engine.pull(image, None)
    if login is None:
        return engine.pull(image, None)
    with private_folder() as folder:
        config = folder / "config.json"
        config.touch(mode=0o600)
        config.write_text(auth_file(login))
        return engine.pull(image, folder)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that is locked as long as this process lives, so that no other takes it for left behind."""
    SECRETS.mkdir(mode=0o700, exist_ok=True)
    with locked(SECRETS):
        folder = Path(tempfile.mkdtemp(prefix="pull-", dir=SECRETS))
        ours = os.open(folder, os.O_RDONLY)
        fcntl.flock(ours, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(ours)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder, and hold it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sweep() -> None:
    """Remove what killed pulls have left; the pulls of other runs, for other clusters, go on."""
    if not SECRETS.is_dir():
        return
    with locked(SECRETS):
        for folder in SECRETS.glob("pull-*"):
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)


def work(module: AnsibleModule) -> None:
    engine = Engine(module.params["engine"], module.run_command)
    missing = [image for image in module.params["images"] if not engine.has_image(image)]
    if module.check_mode or module.params["only_look"]:
        module.exit_json(changed=bool(missing), images=missing)
    sweep()
    for image in missing:
        login = login_for(image, module.params["logins"])
        status, out, err = pull(engine, image, login)
        if status != 0:
            words = (err.strip() or out.strip()).splitlines()[-5:]
            module.fail_json(
                msg=f"{image} could not be pulled. {engine.name} says:\n  "
                + "\n  ".join(words)
                + f"\n{pull_hint(err)}"
            )
    # An engine that has the images keeps them; a second copy would only fill the disk.
    shutil.rmtree(bundle.FOLDER / bundle.IMAGES, ignore_errors=True)
    module.exit_json(changed=bool(missing), images=missing)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "required": True, "choices": ["docker", "podman"]},
            "images": {"type": "list", "elements": "str", "required": True},
            "logins": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "host": {"type": "str", "required": True},
                    "username": {"type": "str", "required": True},
                    "secret": {"type": "str", "no_log": False},
                    "password": {"type": "str", "no_log": True},
                },
            },
            "secrets": {"type": "dict", "default": {}, "no_log": False},
            "only_look": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
