"""Check a bundle on the controller, and bring its files to the nodes, a few of which serve the others."""

from __future__ import annotations

import os
import secrets
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from nimctl.bundle import use
    from nimctl.bundle.store import Store, open_bundle
    from nimctl.errors import NimctlError
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

from ansible_collections.nimctl.multinode.plugins.plugin_utils.descriptions import descriptions

ARCHIVE = 256 * 1024 * 1024
"""Files are sent together up to this many bytes: each transfer costs time, and one that breaks is lost."""
FIRST = 1
SERVING = 17
"""How many nodes serve the others: the first has everything from the controller, the others from it."""


def token(folder: Path) -> str:
    """A secret of this run, the same in all workers: kept in the run's own private temporary folder."""
    file = folder / "nimctl-bundle-token"
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
    except FileExistsError:
        pass
    for _ in range(50):
        found = file.read_text(encoding="utf-8")
        if found.endswith("\n"):
            return found.strip()
        time.sleep(0.1)
    raise AnsibleActionFail(f"{file}: holds no token")


class ActionModule(ActionBase):
    """Runs the module on the node for each part of the work."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take one step."""
        super().run(tmp, task_vars)
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        self._variables = task_vars or {}
        self._arguments = dict(self._task.args)
        step = self._arguments["step"]
        if step in ("close", "remove"):
            return self._module({"step": step})
        path = self._arguments.get("path")
        if not path:
            raise AnsibleActionFail("path: expected the folder or tar that nimctl bundle wrote")
        try:
            if step == "check":
                return self._check(Path(path))
            store = open_bundle(Path(path))
            return self._look(store) if step == "look" else self._fetch(store)
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error

    def _check(self, path: Path) -> dict[str, Any]:
        found = descriptions(self._variables.get("ansible_inventory_sources") or [])
        if not found:
            raise AnsibleActionFail(
                "a bundle is compared with a description, and this inventory has none: use the folder of "
                "cluster.yml as the inventory"
            )
        known = self._arguments.get("verified")
        if known and known == open_bundle(path).id:
            store = use.accept(path, found[0].parent, self._loader)
        else:
            store = use.accept_and_verify(path, found[0].parent, self._loader)
        return {"changed": False, "sha256": store.id}

    def _look(self, store: Store) -> dict[str, Any]:
        platforms = use.platforms(store)
        return self._module(
            {
                "step": "look",
                "platforms": platforms,
                "packages": {each["name"]: use.package_files(store, each["name"]) for each in platforms},
                "images": use.image_files(store, self._arguments.get("images") or []),
            }
        )

    def _fetch(self, store: Store) -> dict[str, Any]:
        found = self._found(self._variables["inventory_hostname"])
        if self._task.check_mode:
            return {"changed": True, "missing": found["missing"]}
        receivers = list(self._variables["ansible_play_hosts_all"])
        place = receivers.index(self._variables["inventory_hostname"])
        port = int(self._arguments.get("port", 8471))
        serves = bool(port) and len(receivers) > 1 and place < min(SERVING, len(receivers) - 1)
        files = dict(found["files"])
        if serves:
            for node in receivers:
                files.update(self._found(node)["files"])
        if place < FIRST or not port:
            # What an earlier run has brought is there already.
            asked = self._module({"step": "missing", "files": files})
            result = asked if asked.get("failed") else self._send(store, files, asked["missing"])
        else:
            urls = self._urls(receivers, place, port)
            asked = {"step": "receive", "files": files, "urls": urls}
            result = self._module(asked, self._token())
        if result.get("failed"):
            return result
        used = self._module(
            {
                "step": "use",
                "platform": found["platform"],
                "files": files,
                "port": port if serves else 0,
            },
            self._token() if serves else "",
        )
        return used if used.get("failed") else {"changed": True, "missing": found["missing"]}

    def _token(self) -> str:
        return token(Path(constants.DEFAULT_LOCAL_TMP))

    def _found(self, node: str) -> dict[str, Any]:
        """What a node was found to lack."""
        return dict(self._variables["hostvars"][node][str(self._arguments["found"])])

    def _urls(self, receivers: list[str], place: int, port: int) -> list[str]:
        """Where a node fetches from: one of those that serve, by turns, and where that fails the next."""
        serving = receivers[: FIRST if place < SERVING else SERVING]
        turned = serving[place % len(serving) :] + serving[: place % len(serving)]
        urls = []
        for node in turned[:3]:
            variables = self._variables["hostvars"][node]
            addresses = [variables.get("nim_rank_address"), variables.get("ansible_host"), node]
            for address in dict.fromkeys(each for each in addresses if each):
                host = f"[{address}]" if ":" in str(address) else address
                urls.append(f"http://{host}:{port}")
        return urls

    def _send(self, store: Store, files: dict[str, Any], missing: list[str]) -> dict[str, Any]:
        """Send what is missing over the connection, in archives."""
        self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "bundle.tar")
        result: dict[str, Any] = {"changed": False}
        for paths in _together(store, missing):
            with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP, suffix=".tar") as archive:
                _pack(store, paths, archive)
                self._transfer_file(archive.name, remote)
            result = self._module({"step": "receive", "files": files, "archive": remote})
            if result.get("failed"):
                break
        return result

    def _module(self, request: dict[str, Any], token: str = "") -> dict[str, Any]:
        arguments = {"step": self._arguments["step"], "request": request, "token": token}
        if self._arguments.get("engine"):
            arguments["engine"] = self._arguments["engine"]
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.bundle", module_args=arguments, task_vars=self._variables
        )
        return result


def _together(store: Store, paths: list[str]) -> Iterator[list[str]]:
    """Paths in groups that are sent as one."""
    group: list[str] = []
    size = 0
    for path in paths:
        if group and size + store.size(path) > ARCHIVE:
            yield group
            group, size = [], 0
        group.append(path)
        size += store.size(path)
    if group:
        yield group


def _pack(store: Store, paths: list[str], archive: Any) -> None:
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            entry = tarfile.TarInfo(path)
            entry.size = store.size(path)
            with store.open(path) as stream:
                tar.addfile(entry, stream)
    archive.flush()
