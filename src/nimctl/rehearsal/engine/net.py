"""Addresses and sockets, IPv4 and IPv6 alike."""

from __future__ import annotations

import errno
import ipaddress
import socket


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``; raises ValueError with what is wrong."""
    host, separator, port = text.rpartition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        separator, port = rest[:1], rest[1:]
        if not bracket or (rest and separator != ":"):
            raise ValueError(f"{text!r} is not [address]:port")
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address goes in brackets, as in [fd00::1]:6379")
    elif not separator:
        host, port = text, ""
    if not port and default_port is not None:
        port = str(default_port)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Write an address and a port the way URLs do."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def api_address(host: str, port: int) -> str:
    """Where the API listens, for people: every address is written as engines write it."""
    return join_host_port(host or "0.0.0.0", port)  # noqa: S104 - only text


def is_address(text: str) -> bool:
    """Tell a numeric address from a name."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, or on every address of the machine when ``host`` is empty; port 0 picks one."""
    if host:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=128, dualstack_ipv6=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise
        # No IPv6 on this machine.
        return socket.create_server(("0.0.0.0", port), backlog=128)  # noqa: S104 - ranks share the host's network


def dial(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to another rank; ``timeout`` in seconds is for the connection only."""
    connection = socket.create_connection((host, port), timeout=timeout)
    connection.settimeout(None)
    prepare(connection)
    return connection


def prepare(connection: socket.socket) -> None:
    """Send small messages at once. Keep-alive stays off: as with NCCL, a silent peer is not noticed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def is_local(host: str) -> bool:
    """Tell whether an address or name leads to this machine."""
    for family, _, _, _, sockaddr in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(sockaddr)
            except OSError:
                continue
            return True
    return False


def own_address() -> str:
    """The address that this machine uses towards others: that of its default route, else loopback."""
    # Connecting a datagram socket sends nothing; it only asks the kernel which address it would use.
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1"
