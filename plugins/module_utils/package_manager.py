"""The package manager of a node."""

from __future__ import annotations

import shutil
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils import bundle
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import PackageError, Run
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf

__all__ = ["Apt", "Dnf", "PackageError", "package_manager"]


def package_manager(run: Run) -> Apt | Dnf | None:
    """The package manager of this node; where a bundle is active it knows that and nothing else."""
    bundled = bundle.active()
    if shutil.which("apt-get"):
        return Apt(reading_bundle(run), bundled)
    return Dnf(reading_bundle(run), bundled) if shutil.which("dnf") else None


def reading_bundle(run: Run) -> Run:
    """Run package managers so that they read an active bundle in the place of the node's own sources."""
    if not bundle.active():
        return run

    def call(command: list[str], **more: Any) -> tuple[int, str, str]:
        return run([command[0], *bundle.options(command[0]), *command[1:]], **more)

    return call
