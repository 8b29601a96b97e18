"""The files of a host: those of the machine, or of a recorded one below some folder."""

from __future__ import annotations

import errno
import os
import re
from typing import BinaryIO

LARGEST = 64 * 1024 * 1024
"""Bytes of one file that are read at most."""
ANYTHING = re.compile("")
PIECE = 1 << 16
"""Bytes of one read: sysctls refuse reads of megabytes."""

NO_VALUE = frozenset({errno.EINVAL, errno.EIO, errno.ENODATA, errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP})
"""What drivers answer for an attribute that has no value now, such as the speed of a port without link."""


class Tree:
    """A place to read a host from; nothing in it is ever written.

    ``kernel`` is where /proc, /sys and /dev are found, ``root`` where everything else is. Paths are given as
    they are on the host. What is not there reads as empty; what is there and cannot be read is a problem.

    A recorded host cannot hold device nodes, addresses and the like. It has text listings of them in a
    folder ``listings`` below ``kernel``: ``nodes``, ``addresses`` and ``packages`` (of rpm).
    """

    KERNEL = ("/proc/", "/sys/", "/dev/", "/listings/")

    def __init__(self, root: str = "/", kernel: str = "/", unanswering: tuple[str, ...] = ()) -> None:
        self.root = root
        self.kernel = kernel
        self.unanswering = unanswering
        self.problems: list[str] = []
        self.recorded = os.path.isdir(self.at("/listings/"))

    def at(self, path: str) -> str:
        """Where a path of the host is found here."""
        base = self.kernel if (path + "/").startswith(self.KERNEL) else self.root
        return path if base == "/" else base.rstrip("/") + path

    def problem(self, text: str) -> None:
        """Note something that could not be found out; each text once."""
        if text not in self.problems:
            self.problems.append(text)

    def out_of_reach(self, path: str) -> bool:
        """Whether a path lies on a mount that does not answer: touching it could hang."""
        return any(path == target or path.startswith(target.rstrip("/") + "/") for target in self.unanswering)

    def data(self, path: str, size: int = LARGEST, closed: bool = False) -> bytes:
        """The first bytes of a file; empty where there is none or it cannot be read.

        ``closed``: it is no problem where it is not for our eyes.
        """
        if self.out_of_reach(path):
            return b""
        try:
            with open(self.at(path), "rb", buffering=0) as stream:
                return _read(stream, size)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return b""
        except PermissionError:
            if not closed:
                self.problem(f"{path} cannot be read {_by_whom()}")
        except OSError as error:
            if error.errno not in NO_VALUE or not path.startswith(self.KERNEL):
                self.problem(f"{path} cannot be read: {error.strerror}")
        return b""

    def text(self, path: str, size: int = LARGEST) -> str:
        """The text of a file without white space around it."""
        return self.data(path, size).decode("utf-8", "surrogateescape").strip()

    def lines(self, path: str) -> list[str]:
        """The lines of a file that are neither empty nor comments."""
        found = (line.strip() for line in self.text(path).splitlines())
        return [line for line in found if line and not line.startswith("#")]

    def number(self, path: str, default: int = 0) -> int:
        """The whole number that a file holds, decimal or with 0x."""
        try:
            return int(self.text(path), 0)
        except ValueError:
            return default

    def names(self, path: str, matching: re.Pattern[str] = ANYTHING) -> list[str]:
        """The names in a folder that match, sorted; none where there is no such folder."""
        if self.out_of_reach(path):
            return []
        try:
            return sorted(filter(matching.match, os.listdir(self.at(path))))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            self.problem(f"{path} cannot be listed {_by_whom()}")
        except OSError as error:
            self.problem(f"{path} cannot be listed: {error.strerror}")
        return []

    def folders(self, path: str) -> list[str]:
        """The names of the folders in a folder, links to folders left out."""
        return [
            name
            for name in self.names(path)
            if os.path.isdir(self.at(f"{path}/{name}")) and not os.path.islink(self.at(f"{path}/{name}"))
        ]

    def link(self, path: str) -> str:
        """The last part of what a link points to, such as the driver of a device."""
        try:
            return os.path.basename(os.readlink(self.at(path)))
        except OSError:
            return ""

    def opened(self, process: str) -> list[str]:
        """What a process has open, by name. Raises OSError where it has ended or is not for our eyes."""
        folder = self.at(f"/proc/{process}/fd")
        return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]

    def exists(self, path: str) -> bool:
        """Whether there is something at a path; links are followed."""
        return not self.out_of_reach(path) and os.path.exists(self.at(path))

    def read_at(self, path: str, places: list[int], size: int = 4) -> list[bytes]:
        """Some bytes at each of a file's places."""
        handle = os.open(self.at(path), os.O_RDONLY)
        try:
            return [os.pread(handle, size, place) for place in places]
        finally:
            os.close(handle)


def _by_whom() -> str:
    """Root may be refused as well, in a container or by a security module."""
    return "here, not even by root" if os.geteuid() == 0 else "without root"


def _read(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0:
        part = stream.read(min(PIECE, size))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
