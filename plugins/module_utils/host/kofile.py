"""What a kernel module on disk says about itself: the section .modinfo of its ELF file."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
from typing import BinaryIO

SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")
LARGEST = 96 * 1024 * 1024
"""Bytes that a packed module may have when unpacked."""


class UnreadableError(Exception):
    """The file cannot be read here; the message says why."""


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
    if path.endswith(".xz"):
        return io.BytesIO(lzma.LZMADecompressor().decompress(stream.read(), LARGEST))
    if path.endswith(".gz"):
        return io.BytesIO(gzip.GzipFile(fileobj=stream).read(LARGEST))
    if path.endswith(".zst"):
        return io.BytesIO(_unzstd(path, stream.read()))
    return stream


def _unzstd(path: str, packed: bytes) -> bytes:
    try:
        # Part of Python from 3.14 on.
        from compression import zstd
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise UnreadableError(
                f"{path} is packed with zstd, which the Python of this host cannot read"
            ) from None
        return zstandard.ZstdDecompressor().decompress(packed, LARGEST)
    return zstd.decompress(packed)


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
