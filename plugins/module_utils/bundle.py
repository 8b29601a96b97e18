"""What a node has of a bundle: packages and images that came over the cluster instead of the internet.

Files get their name only once they were compared with their checksum, so that what is there is right.
While a run goes on, a marker says that packages come from here; see C(package_manager).
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import make_folders, write_atomic

FOLDER = Path("/var/lib/nimctl-bundle")
"""Beside the state of clusters, whose names are free."""
IMAGES = "images"
BLOBS = "images/blobs/sha256"
"""Where the blobs of images lie below the folder."""
CHUNK = 1024 * 1024
HEADER = "X-Nimctl-Token"
_APT = "apt"
_DNF = "dnf"


def active(folder: Path | None = None) -> bool:
    """Whether packages come from the bundle now."""
    return _marker(folder or FOLDER).exists()


def _marker(folder: Path) -> Path:
    return folder / "active"


def deactivate(folder: Path | None = None) -> None:
    """Let packages come from the node's own sources again; the files stay."""
    _marker(folder or FOLDER).unlink(missing_ok=True)


def system(release: Path = Path("/etc/os-release")) -> tuple[str, str, str]:
    """ID, VERSION_ID and the architecture of this node."""
    lines = (line.partition("=") for line in release.read_text(encoding="utf-8").splitlines())
    fields = {name: value.strip("\"'") for name, _, value in lines}
    return fields.get("ID", ""), fields.get("VERSION_ID", ""), platform.machine()


def fitting(platforms: Sequence[Mapping[str, Any]], found: tuple[str, str, str]) -> str:
    """The name of the platform that this node is. Raises NodeError where the bundle has none for it."""
    name, version, machine = found
    for each in platforms:
        same = version == each["version"] or version.startswith(f"{each['version']}.")
        if name in each["ids"] and same and machine == each["architecture"]:
            return str(each["name"])
    raise NodeError(
        f"The bundle has packages for {', '.join(each['name'] for each in platforms)}, and this node runs "
        f"{name} {version} on {machine}. Nothing was changed. Make the bundle for it, with nimctl bundle."
    )


def missing(files: Mapping[str, Sequence[Any]], folder: Path | None = None) -> list[str]:
    """Those of some files, given with checksum and size, that are not here."""
    root = folder or FOLDER
    return [path for path, (_, size) in files.items() if _size(root / path) != size]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


class Receiver:
    """Takes files into the bundle's folder, each only if it is what it should be."""

    def __init__(self, files: Mapping[str, Sequence[Any]], folder: Path | None = None) -> None:
        self._files = files
        self._folder = folder or FOLDER

    def unpack(self, archive: Path) -> list[str]:
        """Take the files of a tar. Raises NodeError for one that was altered, or that nobody asked for."""
        taken = []
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in self._files else None
                if stream is None:
                    raise NodeError(f"{archive} holds {member.name}, which is no file of the bundle.")
                with stream, self._part(member.name).open("wb") as part:
                    shutil.copyfileobj(stream, part, CHUNK)
                self._keep(member.name, "the controller")
                taken.append(member.name)
        return taken

    def fetch(self, paths: Iterable[str], urls: Sequence[str], token: str) -> list[str]:
        """Take files from another node of the cluster, from the first that answers. Raises NodeError."""
        taken = []
        for path in paths:
            reasons = []
            for url in urls:
                try:
                    self._get(f"{url}/{path}", self._part(path), token)
                    break
                except (OSError, urllib.error.URLError) as error:
                    reasons.append(f"{url}: {getattr(error, 'reason', error)}")
            else:
                raise NodeError(
                    f"{path} could not be fetched from another node of the cluster.\n  "
                    + "\n  ".join(reasons)
                    + "\nLet the nodes reach each other on that port, or set nimctl_bundle_port to 0: then "
                    "the controller sends everything to every node, over SSH."
                )
            self._keep(path, url)
            taken.append(path)
        return taken

    def _part(self, path: str) -> Path:
        part = self._folder / f"{path}.part"
        make_folders(part.parent)
        return part

    def _get(self, url: str, part: Path, token: str) -> None:
        have = max(_size(part), 0)
        headers = {HEADER: token, **({"Range": f"bytes={have}-"} if have else {})}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http, made by our action
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            more = answer.status == 206
            with part.open("ab" if more else "wb") as stream:
                shutil.copyfileobj(answer, stream, CHUNK)

    def _keep(self, path: str, source: str) -> None:
        part = self._part(path)
        digest = hashlib.sha256()
        with part.open("rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
        expected = self._files[path][0]
        if digest.hexdigest() != expected:
            part.unlink()
            raise NodeError(
                f"{path} from {source} was altered: its sha256 is {digest.hexdigest()}, not {expected}. It "
                "was thrown away; no package was touched."
            )
        part.chmod(0o644)
        part.replace(self._folder / path)


def activate(name: str, files: Iterable[str], folder: Path | None = None) -> None:
    """Have packages come from the repository of a platform; files of other bundles go."""
    root = folder or FOLDER
    wanted = {root / path for path in files}
    for part in ("packages", IMAGES):
        for path in sorted((root / part).rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in wanted:
                path.unlink()
    # No signature: every file was compared with the bundle's checksums, which the controller has checked.
    source = f"deb [trusted=yes] file:{root}/packages/{name} ./\n"
    make_folders(root / _APT / "lists" / "partial")
    write_atomic(root / _APT / "sources.list", source, 0o644)
    text = (
        f"[nimctl-bundle]\nname=nimctl bundle\nbaseurl=file://{root}/packages/{name}\nenabled=1\n"
        # Its signatures were checked when the bundle was made, its checksums when it came here.
        "gpgcheck=0\nmodule_hotfixes=1\n"
    )
    write_atomic(root / _DNF / "bundle.repo", text, 0o644)
    write_atomic(_marker(root), f"{name}\n", 0o644)


def options(program: str, folder: Path | None = None) -> list[str]:
    """Options by which a package manager knows the bundle and nothing else."""
    root = folder or FOLDER
    if program in ("apt-get", "apt-cache", "apt-mark"):
        settings = {
            "Dir::Etc::sourcelist": root / _APT / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": root / _APT / "lists",
            # What apt remembers between calls is about the node's own sources.
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Acquire::Languages": "none",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    if program == "dnf":
        return [f"--setopt=reposdir={root / _DNF}", f"--setopt=cachedir={root / _DNF / 'cache'}"]
    return []
