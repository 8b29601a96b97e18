"""Load the rules on stdin, then try ports from three addresses; run in a network namespace of its own."""

import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = "10.9.0.100"
CONNECT = "import socket; socket.create_connection(({here!r}, {port}), 0.7, ({source!r}, 0))"


def sh(*words: str, **options) -> None:
    """Run a command that has to succeed."""
    subprocess.run(words, check=True, **options)


peer = subprocess.Popen(["unshare", "--net", "sleep", "60"])
while Path(f"/proc/{peer.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
    time.sleep(0.01)
enter = ["nsenter", f"--net=/proc/{peer.pid}/ns/net"]
sources = ("10.9.0.1", "10.9.1.1", "10.9.2.1")
try:
    sh("ip", "link", "add", "name", "out", "type", "veth", "peer", "name", "in", "netns", str(peer.pid))
    sh("ip", "addr", "add", f"{HERE}/16", "dev", "out")
    sh("ip", "link", "set", "out", "up")
    for source in sources:
        sh(*enter, "ip", "addr", "add", f"{source}/16", "dev", "in")
    sh(*enter, "ip", "link", "set", "in", "up")
    sh("nft", "-f", "-", input=sys.stdin.read(), text=True)
    listeners = {port: socket.create_server((HERE, port)) for port in (29500, 40000, 40022, 8000, 9000)}
    for source in sources:
        for port in listeners:
            code = CONNECT.format(here=HERE, port=port, source=source)
            done = subprocess.run([*enter, sys.executable, "-c", code], capture_output=True, check=False)
            print(source, port, "open" if done.returncode == 0 else "closed")
finally:
    peer.kill()
