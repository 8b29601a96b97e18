"""A file system whose server has stopped answering, for the time of one command.

    unshare --mount --propagation private frozen.py FOLDER deaf|mute COMMAND [ARGUMENT ...]

``deaf`` never takes a request: who waits for it can be killed. ``mute`` takes requests and never answers:
who waits for it cannot be ended by any signal, as behind a file server that died in the middle. The file
system is FUSE, spoken by hand (linux/fuse.h), so that nothing has to be installed. It is gone when the
command has ended.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import threading

INIT, VERSION, MINOR = 26, 7, 31
MNT_DETACH = 2


def mount(folder: str) -> int:
    """Mount it; the connection is the result. Exits with 77 where that is not allowed."""
    try:
        connection = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    library = ctypes.CDLL(None, use_errno=True)
    options = f"fd={connection},rootmode=40000,user_id=0,group_id=0"
    if library.mount(b"store01:/srv/models", folder.encode(), b"fuse.frozen", 0, options.encode()):
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)
    return connection


def listen(connection: int) -> None:
    """Answer the greeting of the kernel and nothing else."""
    while True:
        try:
            request = os.read(connection, 1 << 20)
        except OSError:
            return
        _, operation, unique = struct.unpack_from("<IIQ", request)
        if operation == INIT:
            body = struct.pack("<IIIIHHIIHH32x", VERSION, MINOR, 0, 0, 0, 0, 4096, 1, 0, 0)
            os.write(connection, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)


def main() -> int:
    """Run the command while the folder hangs."""
    folder, manner, *command = sys.argv[1:]
    connection = mount(folder)
    if manner == "mute":
        threading.Thread(target=listen, args=[connection], daemon=True).start()
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        ctypes.CDLL(None).umount2(folder.encode(), MNT_DETACH)
        # What still waits is given an error by this.
        os.close(connection)


if __name__ == "__main__":
    # Not sys.exit: the thread sits in a read that nothing would end.
    os._exit(main())
