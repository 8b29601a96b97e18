"""DKMS: see whether a module builds before it is installed, and clear up after one that half was."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import reading_bundle
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Run

TREE = Path("/var/lib/dkms")
ARCHIVES = Path("/var/cache/apt/archives")
LINES_OF_LOG = 12
FAILED = re.compile(r"\b[Ee]rror\b|\bfailed\b|\*\*\*")


def trial(run: Run, packages: Mapping[str, str], kernel: str, folder: Path) -> None:
    """Build below ``folder``, which is thrown away afterwards. Raises NodeError with the compiler's words."""
    for name, exact in packages.items():
        _unpack(run, name, exact, folder)
    source = folder / "usr" / "src"
    found = sorted(source.glob("*/dkms.conf"))
    if not found:
        raise NodeError(
            f"{', '.join(packages)} have no dkms.conf, so DKMS has nothing to build. No package was touched."
        )
    module, version = _names(found[0])
    tree = folder / "tree"
    tree.mkdir()
    which = ["--dkmstree", str(tree), "--sourcetree", str(source), "-m", module, "-v", version]
    for command in (["dkms", "add", *which], ["dkms", "build", *which, "-k", kernel]):
        status, out, err = run(command)
        if status != 0:
            raise NodeError(
                f"The {module} modules of {version} do not build for the running kernel {kernel}, so what is "
                "installed was kept as it is. Choose another version of the driver, or another kernel. "
                f"The end of the build:\n{_end(tree / module / version, out, err)}"
            )


def broken() -> set[Path]:
    """Versions in DKMS's tree whose source is gone; DKMS fails at each kernel until somebody removes them."""
    # A glob down to `source` would not see links that lead nowhere.
    links = (folder / "source" for folder in TREE.glob("*/*"))
    return {link.parent for link in links if link.is_symlink() and not link.exists()}


def clear(versions: Collection[Path]) -> list[str]:
    """Forget versions of modules as DKMS would; their names."""
    for folder in versions:
        shutil.rmtree(folder)
        for link in folder.parent.glob("kernel-*"):
            if link.is_symlink() and not link.exists():
                link.unlink()
    return sorted(f"{folder.parent.name}/{folder.name}" for folder in versions)


def _names(conf: Path) -> tuple[str, str]:
    """The module and the version that a dkms.conf declares."""
    said = dict(re.findall(r'^PACKAGE_(NAME|VERSION)="?([^"\s]+)', conf.read_text(), re.MULTILINE))
    name, _, version = conf.parent.name.rpartition("-")
    return said.get("NAME", name), said.get("VERSION", version)


def _unpack(run: Run, name: str, version: str, folder: Path) -> None:
    apt = bool(shutil.which("apt-get"))
    # In file names apt writes the colon of an epoch as %3a.
    found = sorted(ARCHIVES.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")) if apt else []
    if not found:
        fetch = (
            ["apt-get", "--quiet=2", "download", f"{name}={version}"]
            if apt
            else ["dnf", "--quiet", "download", f"{name}-{version}"]
        )
        _must(reading_bundle(run), fetch, f"{name} {version} could not be fetched", folder)
        found = sorted(folder.glob(f"{name}[_-]*.*"))
    file = str(found[0])
    if apt:
        _must(run, ["dpkg-deb", "--extract", file, str(folder)], f"{file} could not be unpacked", folder)
    else:
        script = f"rpm2cpio {shlex.quote(file)} | cpio --quiet -idm"
        _must(run, ["sh", "-c", script], f"{file} could not be unpacked", folder)


def _must(run: Run, command: list[str], otherwise: str, folder: Path) -> None:
    status, out, err = run(command, cwd=str(folder))
    if status != 0:
        raise NodeError(f"{otherwise}: {(err or out).strip()}")


def _end(place: Path, out: str, err: str) -> str:
    """The lines of make.log about errors, or its end, or else what dkms said."""
    logs = sorted(place.rglob("make.log"))
    text = logs[-1].read_text(encoding="utf-8", errors="replace") if logs else out + err
    lines = [line for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if FAILED.search(line)]
    return "\n".join((wrong or lines)[-LINES_OF_LOG:])
