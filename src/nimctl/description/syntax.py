"""What the words of a description may look like: names, addresses, images, durations."""

from __future__ import annotations

import ipaddress
import re

NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?")
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")
MAX_DURATION = 7 * 24 * 3600


class WordError(ValueError):
    """A word does not have the form that it needs; the message says what is wrong with it."""


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text is, or None."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def check_host_name(text: str) -> None:
    """Refuse what cannot be the name of a host in DNS, in an inventory and in a unit."""
    if HOST_NAME.fullmatch(text) is None:
        if ip_address(text) is not None:
            return
        raise WordError("letters, digits, `-` and `.` only, and no `-` or `.` at an end")
    if not any(character.isalpha() for character in text) and ip_address(text) is None:
        raise WordError("a name with a letter in it, or an IP address")
    if text.lower() in ("all", "ungrouped"):
        raise WordError("another name (Ansible uses this one for a group of its own)")


def check_address(text: str) -> None:
    """Refuse what is neither an IP address of one machine nor a host name."""
    address = ip_address(text)
    if address is None:
        if text.count(":") == 1 and HOST_NAME.fullmatch(text.split(":")[0]):
            raise WordError("an address without a port (the SSH port belongs to connection.port)")
        check_host_name(text)
        return
    if address.is_unspecified or address.is_multicast or text == "255.255.255.255":
        raise WordError("the address of one machine")
    if "%" in text:
        raise WordError("an address without a zone (`%…`), which means another interface on every machine")


def same_address(text: str) -> str:
    """One spelling for each address, for comparing."""
    address = ip_address(text) if ":" in text or text[:1].isdigit() else None
    return str(address) if address is not None else text.lower()


def check_host_port(text: str) -> None:
    """Refuse what is not ``host`` or ``host:port``."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        if "://" in text:
            raise WordError("host or host:port, without a scheme such as https://")
        raise WordError("host or host:port")
    host = match["host"]
    if host.startswith("["):
        if ip_address(host[1:-1]) is None:
            raise WordError("an IPv6 address in the brackets")
    else:
        check_host_name(host)
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise WordError("a port from 1 to 65535")


def check_image(text: str) -> None:
    """Refuse what is not ``[host[:port]/]path[:tag][@sha256:hex]``; ``nimctl.image`` takes the rest apart."""
    if "://" in text:
        raise WordError("no scheme such as https:// or docker:// before the registry")
    name, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        raise WordError("`sha256:` and 64 hexadecimal digits after the `@`")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        check_host_port(first)
        name = rest
    path, colon, tag = name.rpartition(":") if ":" in name else (name, "", "")
    if colon and _IMAGE_TAG.fullmatch(tag) is None:
        raise WordError("a tag of letters, digits, `.`, `_` and `-` after the `:`")
    if len(path) > 255 or not all(_IMAGE_PART.fullmatch(part) for part in path.split("/")):
        if path.lower() != path and all(_IMAGE_PART.fullmatch(part) for part in path.lower().split("/")):
            raise WordError("a name in lower case (only the tag may have capitals)")
        raise WordError("a name of lower-case letters and digits, joined by `.`, `_`, `-` and `/`")


SHORTEST_SILENCE = 90
"""Seconds."""


def parse_duration(text: str) -> int:
    """Seconds in ``90s``, ``45m``, ``2h`` or ``1h30m``; WordError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise WordError("numbers with their units, such as 90s, 45m or 1h30m")
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not 1 <= total <= MAX_DURATION:
        raise WordError("between 1s and 168h")
    return total


def check_silence(text: str) -> None:
    """Refuse a time in which even a healthy engine may have nothing to show; WordError as any duration."""
    if parse_duration(text) < SHORTEST_SILENCE:
        raise WordError(f"at least {SHORTEST_SILENCE}s: a long prompt may take that long without progress")


def check_absolute(text: str) -> None:
    """Refuse a path that is not absolute, or that a mount option or a bind mount could misread."""
    if not text.startswith("/"):
        raise WordError("an absolute path, beginning with /")
    if ".." in text.split("/"):
        raise WordError("a path without `..`")
    if re.fullmatch(r"[A-Za-z0-9/._+@=-]+", text) is None:
        raise WordError("a path of letters, digits and / . _ - + @ = only")


def check_network(text: str) -> None:
    """Refuse what is neither a network in CIDR notation nor one address."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise WordError("a network such as 10.0.0.0/8, without bits set in its host part") from error


def check_port_range(text: str) -> None:
    """Refuse what is not two ports, the lower one first."""
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) < 65536):
        raise WordError("two ports from 1 to 65535, the lower one first, such as 32768-60999")
