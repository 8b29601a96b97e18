"""Builds the image of the rehearsal engine: Debian, Python, numpy, and the engine's files on top."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from nimctl.errors import NimctlError

SUITE = "trixie"
DEBIAN = f"docker.io/library/debian:{SUITE}-slim"
# python3-numpy brings all of python3, so the engine may use the whole standard library.
PACKAGES = ("python3-minimal", "python3-numpy")
CONTENT_LABEL = "nimctl.content"

_UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
# These are compiled when the package is set up, so they can go only afterwards.
_UNNEEDED_LATER = (
    "/usr/lib/python3/dist-packages/numpy/tests",
    "/usr/lib/python3/dist-packages/numpy/*/tests",
    "/usr/lib/python3/dist-packages/numpy/f2py",
)
_ENGINE = Path(__file__).parent / "engine"
_BASE_NAME = "localhost/nimctl/rehearsal-base"
_PULL_SECONDS = 60

_LAUNCHER = """#!/bin/sh
# The engine's matrices are tiny: threads of the BLAS would only cost.
export OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
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

_CONTAINERFILE = """FROM {base}
COPY rootfs/ /
USER 1000:1000
LABEL {label}={content}
CMD ["/opt/nim/start_server.sh"]
"""

_BASE_CONTAINERFILE = """FROM {debian}
RUN apt-get update && apt-get install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* {unneeded}
"""


def build(engine: str, tag: str, cache: Path) -> None:
    """Make the image ``tag`` with ``engine`` (podman or docker) on this machine, unless it is up to date.

    ``cache`` keeps the bootstrapped Debian between builds. A changed engine only replaces the top layer.
    Raises NimctlError with the output of the command that failed.
    """
    content = content_hash()
    if _label(engine, tag) == content:
        return
    base = _base(engine, cache)
    with tempfile.TemporaryDirectory(prefix="nimctl-rehearsal-") as folder:
        context = Path(folder)
        write_rootfs(context / "rootfs")
        containerfile = _CONTAINERFILE.format(base=base, label=CONTENT_LABEL, content=content)
        (context / "Containerfile").write_text(containerfile)
        _run([engine, "build", "-q", "-t", tag, "-f", str(context / "Containerfile"), str(context)])


def content_hash() -> str:
    """A digest of everything that goes into the image."""
    digest = hashlib.sha256(_base_hash().encode() + _CONTAINERFILE.encode())
    for path, text in _files():
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()[:16]


def write_rootfs(root: Path) -> None:
    """Write the files of the top layer below ``root``, always with the same times and modes."""
    for path, text in _files():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    cache = root / "opt/nim/.cache"
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


def _base_hash() -> str:
    recipe = "\n".join((SUITE, *PACKAGES, *_UNNEEDED, *_UNNEEDED_LATER, _BASE_CONTAINERFILE))
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _base(engine: str, cache: Path) -> str:
    """The Debian with Python and numpy that the engine's files go on: found, built or bootstrapped."""
    base = f"{_BASE_NAME}:{_base_hash()}"
    if _exists(engine, base):
        return base
    archive = cache / f"rehearsal-base-{_base_hash()}.tar"
    if not archive.exists() and _can_pull(engine):
        _build_base(engine, base)
        return base
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _bootstrap(archive)
    _run([engine, "import", str(archive), base])
    return base


def _can_pull(engine: str) -> bool:
    """Whether a Debian image is here or can be had; not tried where mmdebstrap does it without a registry."""
    if _exists(engine, DEBIAN):
        return True
    if shutil.which("mmdebstrap"):
        return False
    try:
        pulled = subprocess.run(  # noqa: S603 - our own words, no shell
            [engine, "pull", "-q", DEBIAN], capture_output=True, timeout=_PULL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pulled = None
    if pulled is None or pulled.returncode:
        raise NimctlError(
            f"cannot pull {DEBIAN}, and mmdebstrap is not installed to make a Debian without a registry.\n"
            "Install it (apt-get install mmdebstrap), or make the image available, and run this again."
        )
    return True


def _build_base(engine: str, base: str) -> None:
    text = _BASE_CONTAINERFILE.format(
        debian=DEBIAN, packages=" ".join(PACKAGES), unneeded=" ".join(_UNNEEDED + _UNNEEDED_LATER)
    )
    with tempfile.TemporaryDirectory(prefix="nimctl-rehearsal-") as folder:
        file = Path(folder) / "Containerfile"
        file.write_text(text)
        _run([engine, "build", "-q", "-t", base, "-f", str(file), folder])


def _bootstrap(archive: Path) -> None:
    """Make a small Debian with mmdebstrap, with this machine's own mirror and way of reaching it."""
    partial = archive.with_suffix(".partial.tar")
    _run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNNEEDED),
            *(f"--aptopt={option}" for option in _apt_options()),
            # What apt needed here is of no use in the image.
            '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap',
            f'--customize-hook=cd "$1" && rm -rf {" ".join(path[1:] for path in _UNNEEDED_LATER)}',
            SUITE,
            str(partial),
            *_mirror(),
        ]
    )
    partial.rename(archive)


def _apt_options() -> list[str]:
    """How apt on this machine reaches its mirrors: proxies, certificates, clocks that are off."""
    if not shutil.which("apt-config"):
        return []
    dump = _run(["apt-config", "dump"])
    wanted = re.compile(
        r'^(Acquire::(https?::(Proxy|CaInfo|Verify-\w+)|Check-\w[\w-]*|Retries)\S* ".+";)$', re.M
    )
    return [match[0] for match in wanted.finditer(dump)]


def _mirror() -> list[str]:
    """The Debian mirror that this machine uses itself, if it is a Debian; else mmdebstrap's own choice."""
    folder = Path("/etc/apt")
    release = Path("/etc/os-release")
    if not release.exists() or not re.search(r"^ID=debian$", release.read_text(), re.M):
        return []
    for source in sorted([folder / "sources.list", *folder.glob("sources.list.d/*")]):
        if source.is_file():
            found = re.search(
                r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S+/debian)/?(?=\s|$)", source.read_text(), re.M
            )
            if found:
                return [found[1]]
    return []


def _exists(engine: str, image: str) -> bool:
    return not subprocess.run(  # noqa: S603 - our own words, no shell
        [engine, "image", "inspect", image], capture_output=True, check=False
    ).returncode


def _label(engine: str, image: str) -> str:
    template = f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}'
    found = subprocess.run(  # noqa: S603 - our own words, no shell
        [engine, "image", "inspect", "--format", template, image], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if not found.returncode else ""


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise NimctlError(
            f"{command[0]} is not installed, and is needed to build the rehearsal image"
        ) from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise NimctlError(f"{' '.join(command[:2])} failed while building the rehearsal image:\n{tail}")
    return done.stdout
