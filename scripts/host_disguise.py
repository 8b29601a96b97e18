"""Put substitutes in the place of what tells one recorded machine from another."""

from __future__ import annotations

import ipaddress
import re
from typing import Union

TABLE = "/proc/self/mountinfo"

Content = Union[bytes, "Link", None]
"""Of a file, or of a link; None for a folder that is not known to hold anything."""


class Link(str):
    """What a symbolic link leads to."""


class Disguise:
    """Gives the same substitute to the same thing in all files of one machine."""

    UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.I)
    HARDWARE = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.I)
    NAMED_BY_HARDWARE = re.compile(r"\benx[0-9a-f]{12}\b")
    IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
    ADDRESSES = re.compile(r"^/(listings/addresses|proc/self/mountinfo|proc/cmdline)$|/gids/\d+$")
    """Only these have addresses; elsewhere four numbers with dots are a version."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}

    def files(self, files: dict[str, Content]) -> dict[str, Content]:
        """Every file, disguised."""
        return {self._plain(path): self._content(path, content) for path, content in sorted(files.items())}

    def _number(self, kind: str, original: str) -> int:
        known = self._known.setdefault(kind, {})
        return known.setdefault(original.lower(), len(known) + 1)

    def _content(self, path: str, content: Content) -> Content:
        if isinstance(content, Link):
            return Link(self._plain(content))
        if content is None or b"\0" in content:
            return content
        text = content.decode("utf-8", "surrogateescape")
        if path == TABLE:
            text = "".join(f"{self._mount(line)}\n" for line in text.splitlines())
        if self.ADDRESSES.search(path):
            text = self._addresses(path, text)
        return self._plain(text).encode("utf-8", "surrogateescape")

    def _plain(self, text: str) -> str:
        text = self.UUID.sub(lambda it: f"00000000-0000-4000-8000-{self._number('uuid', it[0]):012x}", text)
        text = self.HARDWARE.sub(lambda it: f"02:00:00:00:00:{self._number('hardware', it[0]):02x}", text)
        return self.NAMED_BY_HARDWARE.sub(
            lambda it: f"enx02000000{self._number('hardware', it[0]):04x}", text
        )

    def _mount(self, line: str) -> str:
        """One line of the mount table: the name of a server becomes a number."""
        before, separator, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        source, _, options = rest.partition(" ")
        server, mark, folder = source.partition(":")
        if mark and folder.startswith("/") and not self.IPV4.fullmatch(server):
            source = f"server{self._number('server', server)}:{folder}"
        return f"{before}{separator}{kind} {source} {options}"

    def _addresses(self, path: str, text: str) -> str:
        if path.endswith("/proc/cmdline") or path == TABLE:
            return self.IPV4.sub(lambda it: self._v4(it[0]), text)
        found = []
        for line in text.splitlines():
            *name, address = line.split(" ")
            address, mark, prefix = address.partition("/")
            found.append(" ".join([*name, self._address(address) + mark + prefix]))
        return "\n".join(found) + "\n"

    def _address(self, text: str) -> str:
        """An IP address or a GID; the form of writing stays."""
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address):
            return self._v4(text)
        if address.ipv4_mapped:
            packed = ipaddress.ip_address(self._v4(str(address.ipv4_mapped))).packed
            substitute = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + packed)
        else:
            high, low = int(address) >> 64, int(address) & (1 << 64) - 1
            if not address.is_link_local:
                high = 0xFD00 << 48 | self._number("network6", hex(high))
            substitute = ipaddress.IPv6Address(
                high << 64 | 0xA088C20300000000 | self._number("host6", hex(low))
            )
        return substitute.exploded if len(text) == 39 else str(substitute)

    def _v4(self, text: str) -> str:
        """Networks of 256 addresses stay apart, and the last number stays."""
        network_part, _, last = text.rpartition(".")
        if text.startswith(("0.", "127.", "255.")):
            return text
        return f"10.0.{self._number('network4', network_part)}.{last}"
