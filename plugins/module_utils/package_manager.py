"""The package manager of a node."""

from __future__ import annotations

import shutil

from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import PackageError, Run
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf

__all__ = ["Apt", "Dnf", "PackageError", "package_manager"]


def package_manager(run: Run) -> Apt | Dnf | None:
    """The package manager of this node."""
    if shutil.which("apt-get"):
        return Apt(run)
    return Dnf(run) if shutil.which("dnf") else None
