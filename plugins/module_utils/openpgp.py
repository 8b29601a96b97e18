"""Fingerprints of OpenPGP keys, so that a key can be checked where no gpg is installed (RFC 4880, 9580)."""

from __future__ import annotations

import base64
import binascii
import hashlib

PUBLIC_KEY = 6


class MalformedKeyError(ValueError):
    """The text is no OpenPGP key."""


def fingerprints(text: str) -> list[str]:
    """Fingerprints of the primary keys in a key file, armored or not: upper-case hex, in their order."""
    data = _dearmor(text) if "-----BEGIN PGP" in text else text.encode("utf-8", "surrogateescape")
    found = [_fingerprint(body) for tag, body in _packets(data) if tag == PUBLIC_KEY]
    if not found:
        raise MalformedKeyError("it has no public key")
    return found


def _dearmor(text: str) -> bytes:
    data = b""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("-----BEGIN PGP PUBLIC KEY BLOCK"):
            continue
        body = []
        for header in lines:
            if not header.strip():
                break
        for inner in lines:
            if inner.startswith(("=", "-----END")):
                break
            body.append(inner.strip())
        try:
            data += base64.b64decode("".join(body), validate=True)
        except binascii.Error as error:
            raise MalformedKeyError(f"its armor is damaged ({error})") from error
    return data


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    try:
        while at < len(data):
            first = data[at]
            if not first & 0x80:
                raise MalformedKeyError("it is not made of OpenPGP packets")
            if first & 0x40:
                tag, (length, at) = first & 0x3F, _new_length(data, at + 1)
            else:
                tag, kind = (first >> 2) & 0x0F, first & 0x03
                size = {0: 1, 1: 2, 2: 4}.get(kind)
                if size is None:
                    raise MalformedKeyError("a packet has no length")
                length, at = int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
            if at + length > len(data):
                raise MalformedKeyError("it is cut off")
            found.append((tag, data[at : at + length]))
            at += length
    except IndexError as error:
        raise MalformedKeyError("it is cut off") from error
    return found


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + data[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
    raise MalformedKeyError("a packet has no single length")


def _fingerprint(body: bytes) -> str:
    if not body:
        raise MalformedKeyError("it has an empty key")
    if body[0] == 4:
        # SHA-1 is what the format prescribes for the name of a version 4 key; nothing is signed with it here.
        packet = b"\x99" + len(body).to_bytes(2, "big") + body
        return hashlib.sha1(packet, usedforsecurity=False).hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise MalformedKeyError(f"it has a key of version {body[0]}, which is not supported")
