#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: bundle
short_description: Bring packages and images of a bundle to nodes that reach nothing but their cluster
description:
  - A bundle is what C(nimctl bundle) has written, a folder or tar on the controller.
  - The first nodes get what they lack from the controller, over SSH. The others fetch it from these, over
    HTTP with a token that is made for the run, and compare every file with its checksum.
  - While the run goes on, packages come from the bundle and from nowhere else. The files of packages stay
    on the node, so that a repair needs no network.
version_added: 0.2.0
options:
  path:
    description: The bundle on the controller.
    type: str
  step:
    description:
      - V(check) compares every file with its checksum, and the bundle with what the description needs. It
        contacts no node.
      - V(look) says what this node lacks, and takes the bundle into use where that is nothing.
      - V(fetch) brings what is missing.
      - V(close) ends what was started for other nodes.
      - V(remove) takes everything of bundles away from this node. What was installed from them stays.
    type: str
    choices: [check, look, fetch, close, remove]
    required: true
  images:
    description: The images of the node's ranks, by digest.
    type: list
    elements: str
    default: []
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
  found:
    description: With O(step=fetch), the name of the variable that has the result of O(step=look).
    type: str
  port:
    description: Where nodes serve other nodes. 0 means that the controller sends everything to every node.
    type: int
    default: 8471
  verified:
    description: The checksum of a bundle whose files were compared already, by the same person just now.
    type: str
    default: ""
  request:
    description: Set by the action plugin.
    type: dict
  token:
    description: Set by the action plugin.
    type: str
    default: ""
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: See what the node lacks
  nimctl.multinode.bundle:
    path: /srv/bundle
    step: look
    engine: podman
    images: "{{ nim_ranks | map(attribute='image') | unique }}"
  register: found
"""

RETURN = r"""
platform:
  description: Which of the bundle's platforms the node is.
  returned: O(step=look)
  type: str
missing:
  description: Files that the node lacks.
  returned: O(step=look) and O(step=fetch)
  type: list
  elements: str
"""

import inspect
import shutil
import socket
import sys
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils import bundle, bundle_server
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import make_folders, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import (
    PackageError,
    package_manager,
)

UNIT = "nimctl-bundle"
TOKEN = Path("/run/nimctl/bundle-token")
PATIENCE = 30.0
LONGEST = "6h"
"""How long a node serves others at most: a controller that died ends nothing."""


def look(module: AnsibleModule, request: dict) -> None:
    """Which files are missing; the images that the engine has already need none."""
    name = bundle.fitting(request["platforms"], bundle.system())
    files = dict(request["packages"][name])
    engine = Engine(module.params["engine"], module.run_command)
    for image, own in request["images"].items():
        if own and not engine.has_image(image):
            files.update(own)
    missing = bundle.missing(files)
    if not missing and not module.check_mode:
        take_into_use(module, name, list(files))
    module.exit_json(changed=False, platform=name, missing=missing, files=files)


def take_into_use(module: AnsibleModule, name: str, files: list) -> None:
    """Let packages come from the bundle."""
    bundle.activate(name, files)
    manager = package_manager(lambda command, **options: module.run_command(command, **options))
    try:
        if manager is not None:
            manager.update()
    except PackageError as error:
        bundle.deactivate()
        raise NodeError(f"The packages of the bundle cannot be read.\n{error}") from error


def serve(module: AnsibleModule, request: dict) -> None:
    """Give the files to other nodes until `close`, or for some hours."""
    close(module)
    make_folders(TOKEN.parent, 0o700)
    write_atomic(TOKEN, module.params["token"], 0o600)
    program = bundle.FOLDER / "serve.py"
    write_atomic(program, inspect.getsource(bundle_server), 0o644)
    properties = {"NoNewPrivileges": "yes", "ProtectHome": "yes", "RuntimeMaxSec": LONGEST}
    status, out, err = module.run_command(
        ["systemd-run", f"--unit={UNIT}", "--collect", "--quiet"]
        + [f"--property={name}={value}" for name, value in properties.items()]
        + [sys.executable, "-I", str(program), str(bundle.FOLDER), str(request["port"]), str(TOKEN)]
    )
    if status != 0:
        raise NodeError(f"systemd could not start {UNIT}: {(err or out).strip()}")
    wait_until_it_answers(module, request["port"])


def wait_until_it_answers(module: AnsibleModule, port: int) -> None:
    """The next nodes come at once."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    _, out, _ = module.run_command(
        ["journalctl", f"--unit={UNIT}", "--no-pager", "--lines=5", "--output=cat"]
    )
    raise NodeError(
        f"The node does not serve the bundle to others on port {port}.\n{out.strip()}\n"
        "Set nimctl_bundle_port to a port that is free, or to 0: then the controller sends everything to "
        "every node."
    )


def close(module: AnsibleModule) -> None:
    """End serving, if it goes on."""
    module.run_command(["systemctl", "stop", f"{UNIT}.service"])
    module.run_command(["systemctl", "reset-failed", f"{UNIT}.service"])
    TOKEN.unlink(missing_ok=True)


def receive(module: AnsibleModule, request: dict) -> None:
    """Take files from an archive that lies here, or from another node."""
    receiver = bundle.Receiver(request["files"])
    if request.get("archive"):
        taken = receiver.unpack(Path(request["archive"]))
        Path(request["archive"]).unlink()
    else:
        taken = receiver.fetch(bundle.missing(request["files"]), request["urls"], module.params["token"])
    module.exit_json(changed=bool(taken), missing=taken)


def work(module: AnsibleModule) -> None:
    request = module.params["request"] or {}
    step = request.get("step", module.params["step"])
    if step == "look":
        look(module, request)
    elif step == "missing":
        module.exit_json(changed=False, missing=bundle.missing(request["files"]))
    elif step == "receive":
        receive(module, request)
    elif step == "use":
        take_into_use(module, request["platform"], list(request["files"]))
        if request.get("port"):
            serve(module, request)
        module.exit_json(changed=False)
    elif step == "close":
        if not module.check_mode:
            close(module)
        module.exit_json(changed=False)
    elif step == "remove":
        there = bundle.FOLDER.is_dir()
        if there and not module.check_mode:
            shutil.rmtree(bundle.FOLDER)
        module.exit_json(changed=there)
    else:
        module.fail_json(msg=f"The step {step} runs on the controller.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str"},
            "step": {
                "type": "str",
                "choices": ["check", "look", "fetch", "close", "remove"],
                "required": True,
            },
            "images": {"type": "list", "elements": "str", "default": []},
            "engine": {"type": "str", "choices": ["docker", "podman"]},
            "found": {"type": "str"},
            "port": {"type": "int", "default": 8471},
            "verified": {"type": "str", "default": ""},
            "request": {"type": "dict"},
            "token": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
