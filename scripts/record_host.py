#!/usr/bin/env python3
"""Record what host_probe reads on this machine, to test with it elsewhere. Needs Python 3.9 and nothing else.

    python3 scripts/record_host.py h200.tar.gz     write a tar with a recorded host
    python3 scripts/record_host.py --show          print what the probe finds, as JSON

Run it as root, from a clone. The tar has the files that the probe reads and no others. UUIDs, hardware
addresses, serial numbers, IP addresses and names of servers are replaced, each by the same substitute
everywhere; folder names are not. Unpacked to tests/fixtures/hosts/NAME it is a host for tests.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import posixpath
import re
import sys
import tarfile
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "collections")]

from ansible_collections.nimctl.multinode.plugins.module_utils.host import (
    kofile,
    mounts,
    network,
    packages,
    probe,
    system,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host.infiniband import (
    LINK_LOCAL_ONLY,
    MANAGER,
    UNUSED,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host.modules import MATTER
from ansible_collections.nimctl.multinode.plugins.module_utils.host.mounts import TABLE
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import LARGEST, Tree
from host_disguise import Content, Disguise, Link


class Recorder(Tree):
    """Reads as a tree does, and remembers what it has read."""

    def __init__(self, root: str = "/", kernel: str = "/", unanswering: tuple[str, ...] = ()) -> None:
        super().__init__(root, kernel, unanswering)
        self.files: dict[str, Content] = {}

    def data(self, path: str, size: int = LARGEST, closed: bool = False) -> bytes:
        found = super().data(path, size, closed)
        if not self.out_of_reach(path) and os.path.isfile(self.at(path)):
            self.files[path] = found
        return found

    def names(self, path: str, matching: Any = re.compile("")) -> list[str]:
        found = super().names(path, matching)
        # Processes are remembered only where they use a GPU; device nodes have a listing.
        if not path.startswith(("/proc", "/dev")):
            for name in found:
                self._see(f"{path}/{name}")
        return found

    def exists(self, path: str) -> bool:
        self._see(path)
        return super().exists(path)

    def link(self, path: str) -> str:
        found = super().link(path)
        if found:
            self.files[path] = Link(f"../{found}")
        return found

    def opened(self, process: str) -> list[str]:
        found = super().opened(process)
        for number, name in enumerate(name for name in found if name.startswith("/dev/nvidia")):
            self.files[f"/proc/{process}/fd/{number}"] = Link(name)
        return found

    def read_at(self, path: str, places: list[int], size: int = 4) -> list[bytes]:
        found = super().read_at(path, places, size)
        for place, piece in zip(places, found):  # noqa: B905 - not known to Python 3.9
            before = self.files.get(path)
            known = before if isinstance(before, bytes) else b""
            if piece:
                self.files[path] = known[:place].ljust(place, b"\0") + piece + known[place + len(piece) :]
        return found

    def _see(self, path: str) -> None:
        """Remember that something is there; what it holds is remembered when it is read."""
        if os.path.exists(self.at(path)) and not self.out_of_reach(path):
            self.files.setdefault(path, None if os.path.isdir(self.at(path)) else b"")


def record(root: str = "/", kernel: str = "/") -> tuple[dict[str, Content], list[str]]:
    """The files that the probe reads, shortened to what it uses of them; and the problems it has."""
    _, problems, silent = probe.read_mounts(Tree(root, kernel))
    tree = Recorder(root, kernel, silent)
    tree.text(TABLE)
    found = {name: section(tree) for name, section in probe.SECTIONS.items()}
    files = tree.files
    files["/listings/nodes"] = lines("{path} {major} {minor}".format(**node) for node in found["devices"])
    files["/listings/addresses"] = lines(
        f"{interface['name']} {address}"
        for interface in found["interfaces"]
        for address in interface["addresses"]
    )
    for module in [*found["driver"]["installed"], *found["driver"]["elsewhere"]]:
        files[module["path"]] = module_file(module)
    files["/proc/1/environ"] = f"container={found['system']['container']}".encode()
    if found["packages"]["package_manager"] == "dnf":
        files["/listings/packages"] = lines(filter(matters, packages.rpm_lines(tree)))
    for pattern, shorten in SHORTER:
        for path, content in files.items():
            if isinstance(content, bytes) and re.search(pattern, path):
                files[path] = shorten(content)
    trust(files)
    for path in [path for path, content in files.items() if is_noise(path, content)]:
        del files[path]
    return files, list(dict.fromkeys([*problems, *tree.problems]))


def is_noise(path: str, content: Content) -> bool:
    """Entries of GID tables that are not used, and interfaces that the probe passes over."""
    if path.startswith(network.CLASS + "/"):
        return content is None
    return isinstance(content, bytes) and content.strip() in (UNUSED.encode(), LINK_LOCAL_ONLY.encode())


def lines(texts: Any) -> bytes:
    """One text a line."""
    return "".join(f"{text}\n" for text in texts).encode()


def matters(line: str) -> bool:
    """Whether a line of rpm is about a package that the probe reports."""
    return packages.MATTER.match(line.partition("\t")[0]) is not None


def module_file(module: dict[str, Any]) -> bytes:
    """A module that says the same of itself, never packed; one that could not be read stays unreadable."""
    if not module["version"]:
        return kofile.ZSTD
    licence = "NVIDIA" if module["flavour"] == "proprietary" else "Dual MIT/GPL"
    return kofile.smallest({"version": module["version"], "license": licence})


def only(keep: Callable[[str], bool]) -> Callable[[bytes], bytes]:
    """Keep some of the lines of a file."""
    return lambda content: lines(
        line for line in content.decode("utf-8", "replace").splitlines() if keep(line)
    )


def options(content: bytes) -> bytes:
    """The options that the probe reports; never empty, which would say that nothing is known."""
    found = only(lambda line: any(name in line for name in system.OPTIONS))(content)
    return b"# What host_probe uses of it\n" + found


def dpkg(content: bytes) -> bytes:
    """The packages that the probe reports, with what it reports of them."""
    stanzas = []
    for stanza in content.decode("utf-8", "replace").split("\n\n"):
        if packages.MATTER.match(stanza.partition("\n")[0].partition(": ")[2]):
            stanzas.append(
                "\n".join(re.findall(r"^(?:Package|Status|Architecture|Version): .*$", stanza, re.M)) + "\n"
            )
    return "\n".join(stanzas).encode()


def dependencies(content: bytes) -> bytes:
    """The modules that the probe reports, without what they depend on."""
    paths = [line.partition(":")[0] for line in content.decode().splitlines()]
    return lines(f"{path}:" for path in paths if MATTER.match(kofile.module_name(path)))


def loaded(content: bytes) -> bytes:
    """Names of modules without where they are in memory."""
    return lines(f"{line.split(' ')[0]} 0 0 - Live 0x0" for line in content.decode().splitlines())


SHORTER: list[tuple[str, Callable[[bytes], bytes]]] = [
    (r"^/var/lib/dpkg/status$", dpkg),
    (r"/modules\.dep$", dependencies),
    (r"/modules\.builtin$", only(lambda line: MATTER.match(kofile.module_name(line)) is not None)),
    (r"^/proc/modules$", loaded),
    (r"^/proc/meminfo$", only(lambda line: line.startswith("MemTotal:"))),
    (f"^{mounts.TABLE}$", only(lambda line: mounts.reported(line) is not None)),
    (r"^/proc/driver/nvidia/gpus/.*/information$", only(lambda line: line.startswith("Model:"))),
    (r"^/(boot/config-|lib/modules/[^/]+/config$)", options),
    (r"^/proc/config.gz$", lambda content: gzip.compress(options(gzip.decompress(content)), mtime=0)),
    (r"^/etc/(systemd|security|dnf|yum)/", only(lambda line: line.strip()[:1] not in ("", "#", ";"))),
    (r"/vpd$", lambda content: MANAGER if MANAGER in content else b""),
]
"""Which files are longer than what the probe uses of them, and what to keep. VPD has serial numbers."""


def trust(files: dict[str, Content]) -> None:
    """Put digests in the place of certificates, so that it still shows which are trusted."""
    mine = {
        path: content
        for path in system.SIGNING
        for content in [files.get(path)]
        if isinstance(content, bytes)
    }
    digests = {content: hashlib.sha256(content).hexdigest().encode() for content in mine.values()}
    for path in system.ENROLLED:
        held = files.get(path)
        if isinstance(held, bytes):
            files[path] = (
                b"".join(digest for content, digest in digests.items() if content and content in held) or b"-"
            )
    for path, content in mine.items():
        files[path] = digests[content]


def write(files: dict[str, Content], target: Path) -> None:
    """Write a tar: the same files give the same bytes of every member."""
    with tarfile.open(target, "w:gz" if target.suffix in (".gz", ".tgz") else "w") as tar:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(posixpath.normpath(path).lstrip("/"))
            member.mode = 0o644
            if content is None:
                if any(other.startswith(path + "/") for other in files):
                    continue
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, Link):
                member.type, member.linkname = tarfile.SYMTYPE, str(content)
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)


def main() -> int:
    """Record or show this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("target", nargs="?", type=Path, help="the tar to write, such as h200.tar.gz")
    what.add_argument("--show", action="store_true", help="print what the probe finds, and write nothing")
    arguments = parser.parse_args()
    if arguments.show:
        print(json.dumps(probe.probe(), indent=2))
        return 0
    files, problems = record()
    disguised = Disguise().files(files)
    write(disguised, arguments.target)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{arguments.target}: {len(disguised)} files. Look through it before you give it to others.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
