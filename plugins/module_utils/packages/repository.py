"""A package repository on a node: its files, whether it can be trusted, and what it offers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, read
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf
from ansible_collections.nimctl.multinode.plugins.module_utils.signing_key import fetch_key, is_key

HEADER = "# Written by nimctl. Changes are undone by its next run.\n"

SPEC = {
    "id": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["apt", "dnf"], "required": True},
    "url": {"type": "str", "required": True},
    "key_url": {"type": "str", "required": True, "no_log": False},
    "fingerprint": {"type": "str", "required": True},
    "suite": {"type": "str", "default": "/"},
    "components": {"type": "list", "elements": "str", "default": []},
    "architectures": {"type": "list", "elements": "str", "default": []},
}
"""A repository as a module takes it."""

# What the package manager says, in the order in which it is looked for, and what it means.
MEANINGS = (
    (
        r"NO_PUBKEY|Missing key|BADSIG|OpenPGP signature verification failed|sqv returned an error"
        r"|signatures? (?:was|were|is|are)? ?(?:invalid|not valid)|GPG signature verification|GPG error"
        r"|Failed to parse keyring",
        "its index is not signed with the key {fingerprint}, or was altered since",
    ),
    (r"is not signed|no longer signed", "its index is not signed"),
    (r"Hash Sum mismatch|unexpected size|[Cc]hecksum", "what it sends does not match its index"),
    (
        r"Connection refused|Could not connect|Unable to connect|Could not resolve|Temporary failure"
        r"|[Tt]imed out|No route to host|Could not handshake|certificate|Curl error",
        "it cannot be reached",
    ),
    (r"404|does not have a Release file|no longer has a Release file", "there is no repository (404)"),
    # dnf keeps to itself whether somebody answered.
    (r"Cannot download repomd\.xml", "there is no repository, or it cannot be reached"),
)


@dataclass(frozen=True)
class Repository:
    """A repository that a planner has named; ``suite`` and ``components`` are apt's."""

    id: str
    kind: str
    url: str
    key_url: str
    fingerprint: str
    suite: str = "/"
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Repository:
        """As the parameter of a module has it."""
        listed = {name: tuple(given[name]) for name in ("components", "architectures")}
        return cls(**{**given, **listed})

    @property
    def key_path(self) -> str:
        """Where its key lies on the node."""
        name = f"nimctl-{self.id}"
        return (
            f"/etc/apt/keyrings/{name}.asc" if self.kind == "apt" else f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"
        )

    @property
    def source_path(self) -> str:
        """Where the node's package manager reads about it."""
        folder, suffix = (
            ("/etc/apt/sources.list.d", "sources") if self.kind == "apt" else ("/etc/yum.repos.d", "repo")
        )
        return f"{folder}/nimctl-{self.id}.{suffix}"

    def source(self, key_path: str) -> str:
        """The text that tells the package manager about it."""
        if self.kind == "dnf":
            # Exact versions are asked for: which module stream shows them must not matter.
            lines = [f"[nimctl-{self.id}]", f"name=nimctl-{self.id}", f"baseurl={self.url}", "enabled=1"]
            lines += ["gpgcheck=1", f"gpgkey=file://{key_path}", "module_hotfixes=1"]
            return HEADER + "\n".join(lines) + "\n"
        lines = ["Types: deb", f"URIs: {self.url}", f"Suites: {self.suite}"]
        if self.components:
            lines.append(f"Components: {' '.join(self.components)}")
        if self.architectures:
            lines.append(f"Architectures: {' '.join(self.architectures)}")
        return HEADER + "\n".join([*lines, f"Signed-By: {key_path}"]) + "\n"

    def files(self, key: str) -> list[File]:
        """Its files on the node."""
        return [File(self.key_path, key), File(self.source_path, self.source(self.key_path))]

    def is_set_up(self) -> bool:
        """Whether the node has it already, with the right key."""
        return is_key(read(self.key_path), self.fingerprint) and read(self.source_path) == self.source(
            self.key_path
        )


def offers(
    manager: Apt | Dnf, repository: Repository, names: Sequence[str]
) -> tuple[str, dict[str, list[str]]]:
    """The key of a repository, and the versions that it has of packages, newest first.

    It is looked at with package lists in a temporary folder: nothing on the node changes. Raises NodeError
    where it cannot be trusted or reached. A repository without an address stands for the node's own sources,
    and a bundle for all of them.
    """
    if manager.bundled:
        found = manager.offered(names) if names else {}
        return "", {name: found.get(name, []) for name in names}
    if not repository.url:
        return "", _of_the_node(manager, names)
    if repository.kind != manager.name:
        raise NodeError(
            f"{repository.id} is a repository for {repository.kind}, and this node has {manager.name}."
        )
    with TemporaryDirectory(prefix="nimctl-") as folder:
        # apt fetches as a user of its own, who has to get in here.
        Path(folder).chmod(0o755)
        key = fetch_key(repository.key_url, repository.fingerprint)
        key_file, source = Path(folder, "key.asc"), Path(folder, Path(repository.source_path).name)
        key_file.write_text(key, encoding="utf-8", errors="surrogateescape")
        source.write_text(repository.source(str(key_file)), encoding="utf-8")
        try:
            found = (_apt if isinstance(manager, Apt) else _dnf)(manager, source, folder, names)
        except PackageError as error:
            raise NodeError(explained(repository, str(error))) from error
    return key, {name: found.get(name, []) for name in names}


def _of_the_node(manager: Apt | Dnf, names: Sequence[str]) -> dict[str, list[str]]:
    """What the node's own sources offer; fetched into a temporary folder where its lists lack a name."""
    found = manager.offered(names)
    if any(name not in found for name in names) and isinstance(manager, Apt):
        with TemporaryDirectory(prefix="nimctl-") as folder:
            Path(folder).chmod(0o755)
            try:
                found = _apt(manager, None, folder, names)
            except PackageError as error:
                raise NodeError(f"The package sources of the node cannot be read.\n{error}") from error
    return {name: found.get(name, []) for name in names}


def _apt(manager: Apt, source: Path | None, folder: str, names: Sequence[str]) -> dict[str, list[str]]:
    lists, cache = Path(folder, "lists"), Path(folder, "cache")
    for path in (lists, cache):
        path.mkdir()
    options = [
        *(only(source) if source else ()),
        "-o",
        f"Dir::State::lists={lists}",
        "-o",
        f"Dir::Cache={cache}",
    ]
    manager.update([*options, "-o", "Acquire::Languages=none"])
    return manager.offered(names, options) if names else {}


def _dnf(manager: Dnf, source: Path, folder: str, names: Sequence[str]) -> dict[str, list[str]]:
    options = [f"--setopt=reposdir={folder}", f"--setopt=cachedir={folder}/cache"]
    options.append("--setopt=skip_if_unavailable=False")
    manager.update(options)
    return manager.offered(names, options) if names else {}


def only(source: Path | str) -> list[str]:
    """Options by which apt reads one list of sources and no other."""
    return ["-o", f"Dir::Etc::sourcelist={source}", "-o", "Dir::Etc::sourceparts=/dev/null"]


def explained(repository: Repository, words: str) -> str:
    """What is wrong with a repository, and the package manager's own words."""
    meaning = next((said for pattern, said in MEANINGS if re.search(pattern, words)), "it cannot be read")
    where = f"{repository.url} {repository.suite}" if repository.suite != "/" else repository.url
    return (
        f"The repository {repository.id} at {where} was refused: "
        f"{meaning.format(fingerprint=repository.fingerprint)}. No package was touched.\n{words}"
    )
