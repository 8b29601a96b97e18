"""What goes into the image of the rehearsal engine: packages of Debian, and the engine's files on top.

The lab makes the image from this. It has no entrypoint, its command is ``COMMAND``, and it runs as any user
and on a read-only root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# python3-numpy depends on all of python3, so the engine may use the whole standard library.
PACKAGES = ("python3-minimal", "python3-numpy")
COMMAND = ("/opt/nim/start_server.sh",)
CACHE = "/opt/nim/.cache"

_ENGINE = Path(__file__).parent / "engine"

_LAUNCHER = """#!/bin/sh
# The engine's matrices are tiny: threads of the BLAS would only cost.
export OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
exec python3 -m rehearsal {command} "$@"
"""

_FILES = {
    "opt/nim/start_server.sh": _LAUNCHER.format(command="start-server"),
    "usr/local/bin/nim-serve-ray": _LAUNCHER.format(command="nim-serve-ray"),
    "usr/local/bin/vllm": _LAUNCHER.format(command="vllm"),
    "usr/lib/python3/dist-packages/rehearsal.pth": "/opt/rehearsal\n",
    "opt/rehearsal/sglang/__init__.py": '"""Stands in for SGLang: only its launcher is here."""\n',
    "opt/rehearsal/sglang/launch_server.py": (
        '"""`python3 -m sglang.launch_server`, played by the rehearsal engine."""\n\n'
        "import os\nimport sys\n\n"
        'os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")\n\n'
        "from rehearsal.main import cli\n\n"
        'cli(["sglang", *sys.argv[1:]])\n'
    ),
}


def write_rootfs(root: Path) -> None:
    """Write the engine's files below ``root``, always with the same times and modes."""
    for path, text in _files():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    cache = root / CACHE.lstrip("/")
    cache.mkdir(parents=True)
    for entry in (root, *root.rglob("*")):
        if entry.is_dir():
            entry.chmod(0o755)
        os.utime(entry, (0, 0))
    # Whoever the container runs as may write here, as long as nothing is mounted on it.
    cache.chmod(0o777)


def _files() -> Iterator[tuple[str, str]]:
    for source in sorted(_ENGINE.rglob("*.py")):
        yield f"opt/rehearsal/rehearsal/{source.relative_to(_ENGINE)}", source.read_text()
    yield from sorted(_FILES.items())
