"""Whether a driver may take the place of the one that is loaded, and what has to be so before it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nimctl.stack.host import Host
from nimctl.stack.plan import Cost, Question, RefusedError
from nimctl.stack.rows import DriverPackages, ModuleKind

Steps = Literal["managed", "switch", "wait", "enroll"]


@dataclass(frozen=True, slots=True)
class Activation:
    """What a role does: ``managed`` installs, ``switch`` replaces a loaded driver, ``wait`` only fetches."""

    steps: Steps
    cost: Cost = "none"
    pending: tuple[str, ...] = ()


def own_kernel(host: Host) -> bool:
    """Whether the kernel is the host's own; that of a container is not."""
    return not host.system.container


def activation(question: Question, version: str, kind: ModuleKind) -> Activation:
    """How a host gets to a driver from what is loaded there.

    User space must never differ from the loaded module: NVML and CUDA then refuse to start.
    """
    driver = question.host.driver
    if not own_kernel(question.host):
        return Activation("managed")
    if not driver.loaded:
        return _with_nouveau(question)
    if driver.loaded == version and driver.flavour in ("", kind):
        return Activation("managed")
    before = _named(driver.loaded, driver.flavour, kind, version)
    change = f"the driver from {before} to {version}"
    may_reboot = bool(question.context.get("reboot_ok"))
    drained = bool(question.context.get("drained"))
    cost: Cost = "reboot" if may_reboot else "drain"
    if _on_disk(question.host, version, kind) and not drained:
        return Activation(
            "managed",
            "reboot",
            (f"reboot to load the driver {version}: it is installed, and {before} is still loaded",),
        )
    if may_reboot or drained:
        return Activation("switch", cost)
    return Activation(
        "wait",
        cost,
        (
            f"change {change}: it was downloaded and not activated, because the modules of {before} are "
            f"loaded{_users(question.host)} and its programs would no longer fit them. Drain the node "
            "(nimctl drain) or let it reboot (stack.reboot_ok), and run again",
        ),
    )


def _with_nouveau(question: Question) -> Activation:
    if not question.host.driver.nouveau:
        return Activation("managed")
    return Activation(
        "managed",
        "reboot",
        ("reboot: nouveau is loaded and holds the GPUs; it is kept out from the next boot on",),
    )


def _named(loaded: str, flavour: str, kind: ModuleKind, version: str) -> str:
    return f"{loaded} ({flavour} modules)" if loaded == version and flavour != kind else loaded


def _on_disk(host: Host, version: str, kind: ModuleKind) -> bool:
    return host.driver.user_space == version and any(
        module.version == version and module.flavour in ("", kind) for module in host.driver.base_modules
    )


def _users(host: Host) -> str:
    names = sorted(set(host.driver.user_names.values()))
    return f" and used by {', '.join(names)}" if names else ""


def enrolls(question: Question, row: DriverPackages, version: str, build: str, setting: str) -> bool:
    """Whether a key has to be enrolled first, by somebody at the console.

    Raises RefusedError where Secure Boot would not load the modules and the description does not say to
    prepare for it.
    """
    system = question.host.system
    driver = question.host.driver
    if system.secure_boot is not True or not own_kernel(question.host) or driver.loaded == version:
        return False
    if build == "precompiled" and row.signed:
        return False
    if build == "dkms" and system.signing_key == "enrolled":
        return False
    if build == "precompiled":
        raise RefusedError(
            "Secure Boot is on, and the firmware does not know the key of these precompiled modules. Nothing "
            "was changed. Use stack.driver.build: dkms with secure_boot: enroll, the distribution's signed "
            "packages (source: distribution, build: precompiled on Ubuntu), or turn Secure Boot off"
        )
    if setting == "enroll":
        return True
    raise RefusedError(
        "Secure Boot is on, and modules that are built on the node are signed with a key that its firmware "
        "does not know: they would not load. Nothing was changed. Set stack.driver.secure_boot: enroll to "
        "prepare a key (somebody then has to confirm it at the console), use the distribution's signed "
        "packages where there are any (source: distribution, build: precompiled on Ubuntu), or turn Secure "
        "Boot off"
    )
