"""Messages between ranks: JSON for control, raw float64 for activations, each with a length in front."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import LinkLostError

Array = NDArray[np.float64]

_HEADER = struct.Struct(">cI")
_JSON, _ARRAY = b"J", b"A"
_LIMIT = 64 * 1024 * 1024


class Link:
    """A connection to one other rank. Every failure, also a passed deadline, raises LinkLostError.

    ``deadline`` (``time.monotonic``) holds for sending and receiving; without one a silent peer is waited for
    for ever.
    """

    def __init__(self, connection: socket.socket, peer: int) -> None:
        self.connection = connection
        self.peer = peer
        self.deadline: float | None = None

    def send_json(self, message: object) -> None:
        """Send a control message."""
        self._send(_JSON, json.dumps(message, separators=(",", ":")).encode())

    def send_array(self, array: Array) -> None:
        """Send activations; the receiver knows their shape."""
        self._send(_ARRAY, np.ascontiguousarray(array).tobytes())

    def receive_json(self, limit: int = _LIMIT) -> Any:
        """Wait for a control message of at most ``limit`` bytes."""
        try:
            return json.loads(self._receive(_JSON, limit))
        except ValueError as error:
            raise LinkLostError(self.peer, f"sent what is no message of ours ({error})") from None

    def receive_array(self, columns: int) -> Array:
        """Wait for activations of shape (rows, ``columns``)."""
        data = self._receive(_ARRAY, _LIMIT)
        return np.frombuffer(data, dtype=np.float64).reshape(-1, columns)

    def gone(self) -> bool:
        """Tell whether the other side has closed the connection, without waiting."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _send(self, kind: bytes, data: bytes) -> None:
        try:
            self._set_timeout()
            self.connection.sendall(_HEADER.pack(kind, len(data)) + data)
        except TimeoutError as error:
            raise LinkLostError(self.peer, "it takes nothing any more") from error
        except OSError as error:
            raise LinkLostError(self.peer, str(error)) from error

    def _receive(self, expected: bytes, limit: int) -> bytes:
        kind, length = _HEADER.unpack(self._read(_HEADER.size))
        if kind != expected or length > limit:
            raise LinkLostError(self.peer, "sent what is no message of ours")
        return self._read(length)

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        try:
            while view:
                self._set_timeout()
                count = self.connection.recv_into(view)
                if not count:
                    raise LinkLostError(self.peer, "closed by the other side")
                view = view[count:]
        except TimeoutError as error:
            raise LinkLostError(self.peer, "no answer in time") from error
        except OSError as error:
            raise LinkLostError(self.peer, str(error)) from error
        return bytes(data)

    def _set_timeout(self) -> None:
        remaining = None if self.deadline is None else max(self.deadline - time.monotonic(), 0.001)
        self.connection.settimeout(remaining)
