"""What a kernel module on disk says about itself: the section .modinfo of its ELF file."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
from typing import BinaryIO

LARGEST = 96 * 1024 * 1024
"""Bytes that a packed module may have when unpacked."""
XZ, GZIP, ZSTD = b"\xfd7zXZ\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""How files begin that are packed so."""


class UnreadableError(Exception):
    """The file cannot be read here; the message says why."""


class UnknownPackingError(UnreadableError):
    """The file is packed in a way that this Python does not know."""


def module_name(path: str) -> str:
    """The name of the module in a file, as /proc/modules has it."""
    return path.rsplit("/", 1)[-1].partition(".ko")[0].replace("-", "_")


def modinfo(path: str) -> dict[str, str]:
    """The fields of .modinfo, the first of each name. Raises UnreadableError."""
    try:
        with open(path, "rb") as stream:
            fields = _section(_unpacked(path, stream), b".modinfo")
    except (OSError, EOFError, lzma.LZMAError, struct.error, IndexError) as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for field in fields.split(b"\0"):
        name, separator, value = field.partition(b"=")
        if separator:
            found.setdefault(name.decode("ascii", "replace"), value.decode("utf-8", "replace"))
    return found


def _unpacked(path: str, stream: BinaryIO) -> BinaryIO:
    start = stream.read(len(XZ))
    stream.seek(0)
    if start == XZ:
        return io.BytesIO(lzma.LZMADecompressor().decompress(stream.read(), LARGEST))
    if start.startswith(GZIP):
        return io.BytesIO(gzip.GzipFile(fileobj=stream).read(LARGEST))
    if start.startswith(ZSTD):
        return io.BytesIO(_unzstd(path, stream.read()))
    return stream


def _unzstd(path: str, content: bytes) -> bytes:
    try:
        # Part of Python from 3.14 on.
        from compression import zstd
    except ImportError:
        raise UnknownPackingError(
            f"{path} is packed with zstd, which the Python of this host cannot read"
        ) from None
    unpacked: bytes = zstd.decompress(content)
    return unpacked


def _section(stream: BinaryIO, wanted: bytes) -> bytes:
    """The content of one section of a 64-bit little-endian ELF file; empty where it has none."""
    header = stream.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        raise UnreadableError("this is no module of a 64-bit little-endian kernel")
    (table,) = struct.unpack_from("<Q", header, 0x28)
    size, count, names = struct.unpack_from("<HHH", header, 0x3A)
    stream.seek(table)
    rows = [struct.unpack_from("<IIQQQQ", stream.read(size)) for _ in range(count)]
    _, _, _, _, start, length = rows[names]
    stream.seek(start)
    texts = stream.read(length)
    for name, _, _, _, start, length in rows:
        if texts[name : texts.index(b"\0", name)] == wanted:
            stream.seek(start)
            return stream.read(length)
    return b""


def smallest(fields: dict[str, str]) -> bytes:
    """The smallest file that ``modinfo`` reads these fields from: recorded hosts have such modules."""
    names = b"\0.modinfo\0.shstrtab\0"
    content = b"".join(f"{name}={value}".encode() + b"\0" for name, value in fields.items())
    table = 64 + len(content) + len(names)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2
    )
    rows = [(0, 0, 0, 0, 0, 0), (1, 1, 0, 0, 64, len(content)), (10, 3, 0, 0, 64 + len(content), len(names))]
    return header + content + names + b"".join(struct.pack("<IIQQQQIIQQ", *row, 0, 0, 1, 0) for row in rows)
