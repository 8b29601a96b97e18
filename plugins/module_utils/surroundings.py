"""Whether a node is a machine with a kernel of its own, or a container on somebody else's."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.files import read


def container(root: Path = Path("/")) -> str:
    """What the node is a container of, such as podman; empty for a machine.

    systemd writes its finding to /run/systemd/container; without systemd the marks of podman and docker and
    the environment of the first process say it (systemd-detect-virt looks at the same places).
    """
    said = (read(root / "run/systemd/container") or "").strip()
    if said:
        return said
    for mark, name in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if (root / mark).exists():
            return name
    try:
        environment = (root / "proc/1/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
    words = dict(word.split("=", 1) for word in environment.split("\0") if "=" in word)
    return words.get("container", "")


def systemd_runs(root: Path = Path("/")) -> bool:
    """Whether systemd looks after this node (sd_booted(3))."""
    return (root / "run/systemd/system").is_dir()
