"""The images of the lab: made once for a machine, named by what they are made from.

debian  a plain Debian, pulled where a registry can be reached, bootstrapped where none can
base    that, with the machine's mirrors, certificates and package lists
node    a bare machine: SSH, Python, sudo; packages of the container engines downloaded, not installed
registry, and a registry that already holds the rehearsal image
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from nimctl.errors import NimctlError
from nimctl.lab import apt
from nimctl.lab.command import CommandError, root_prefix, running
from nimctl.lab.containers import Containers
from nimctl.lab.lock import locked
from nimctl.lab.names import CACHE_LABEL, LABEL
from nimctl.lab.tarball import File, Files, digest

Say = Callable[[str], None]

ORIGIN = f"debian-{apt.RELEASE}"
DEBIAN = f"docker.io/library/debian:{apt.RELEASE}-slim"
_PULL_SECONDS = 90

REGISTRY_CHANGES = ('CMD ["/usr/local/sbin/registry-start"]',)

NODE_PACKAGES = (
    "systemd systemd-sysv dbus openssh-server python3 python3-apt sudo iproute2 nftables iputils-ping procps "
    "kmod curl"
)
CACHED_PACKAGES = (
    "podman docker.io docker-cli runc crun netavark aardvark-dns passt fuse-overlayfs iptables uidmap "
    "catatonit"
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: what it is made from and how.

    Attributes:
        name: Last part of the image's name.
        base: Image that it starts from.
        script: Shell script that makes it, run in the base image.
        variables: Variables of the script.
        files: Files put in before the script runs.
        changes: What the image says about itself, as lines of a Containerfile.
    """

    name: str
    base: str
    script: str
    variables: tuple[tuple[str, str], ...]
    files: Files
    changes: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The image's name; another recipe has another one."""
        summary = hashlib.sha256()
        for part in (self.base, self.script, repr(self.variables), digest(self.files), repr(self.changes)):
            summary.update(part.encode() + b"\0")
        return f"localhost/nimctl/lab-{self.name}:{summary.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Images:
    """The references of the images that a lab runs."""

    node: str
    registry: str


def data(name: str) -> str:
    """A file of the lab's data folder."""
    return resources.files("nimctl.lab").joinpath("data", name).read_text()


def recipes(sources: apt.Sources) -> tuple[Recipe, Recipe]:
    """How node and registry are made."""
    node = Recipe(
        "node",
        ORIGIN,
        data("prepare.sh") + data("node.sh"),
        (("NODE_PACKAGES", NODE_PACKAGES), ("CACHED_PACKAGES", CACHED_PACKAGES)),
        sources.files(),
        ('CMD ["/sbin/init"]',),
    )
    own = {
        "/usr/local/sbin/registry-start": File(data("registry-start.sh").encode(), 0o755),
        "/etc/registry-open.yml": File(data("registry-open.yml").encode()),
        "/etc/registry-tls.yml": File(data("registry-tls.yml").encode()),
    }
    registry = Recipe(
        "registry",
        ORIGIN,
        data("prepare.sh") + data("registry.sh"),
        (("PACKAGES", "docker-registry"),),
        {**sources.files(), **own},
        REGISTRY_CHANGES,
    )
    return node, registry


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where images are made.

    Attributes:
        engine: The engine that keeps them.
        lab: The lab that asks; what an interrupted build leaves is removed with that lab.
        cache: Folder for locks and temporary files.
        say: Tells a person what happens.
    """

    engine: Containers
    lab: str
    cache: Path
    say: Say

    @property
    def scratch(self) -> Path:
        """The lab's folder for temporary files, that goes with it."""
        folder = self.cache / "tmp" / self.lab
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def made(self, recipe: Recipe) -> str:
        """The reference of an image that starts from a plain Debian, made where it is missing.

        Raises:
            NimctlError: it cannot be made.
        """
        if not self.engine.has_image(recipe.reference):
            self.build(recipe, self.debian())
        return recipe.reference

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep other labs of this machine from making the same image."""
        here = f"process {os.getpid()}"
        with locked(
            self.cache / f"image-{name}.lock",
            # Our own threads wait for each other, too: nothing that anybody has to know.
            lambda holder: (
                None if holder == here else self.say(f"waiting: {holder} is making the {name} image")
            ),
        ):
            yield

    def build(self, recipe: Recipe, base: str) -> None:
        """Make one image, unless somebody made it meanwhile."""
        with self.alone(recipe.name):
            if not self.engine.has_image(recipe.reference):
                self._build(recipe, base)

    def _build(self, recipe: Recipe, base: str) -> None:
        started = time.monotonic()
        self.say(f"making the {recipe.name} image{_packages(recipe)}")
        container = f"nimctl-{self.lab}-build-{recipe.name}"
        self.engine.remove_container(container)
        script = "".join(f"{name}='{value}'\n" for name, value in recipe.variables) + recipe.script
        try:
            self.engine.create(
                container,
                base,
                ["--interactive", f"--label={LABEL}={self.lab}"],
                recipe.files,
                ["sh", "-s"],
            )
            self._run_script(container, script)
            self.commit(container, recipe)
        finally:
            self.engine.remove_container(container)
        self.say(f"made the {recipe.name} image in {time.monotonic() - started:.0f} s")

    def commit(self, container: str, recipe: Recipe) -> None:
        """Keep a container's files as an image that belongs to no lab."""
        self.engine(
            "commit",
            "--quiet" if self.engine.kind == "podman" else "--pause=true",
            *(f"--change={line}" for line in recipe.changes),
            f"--change=LABEL {LABEL}=",
            f"--change=LABEL {CACHE_LABEL}={recipe.name}",
            container,
            recipe.reference,
        )

    def _run_script(self, container: str, script: str) -> None:
        done = self.engine(
            "start", "--attach", "--interactive", container, data=script.encode(), timeout=1200, check=False
        )
        if done.returncode:
            raise CommandError((container,), done.returncode, done.stdout + done.stderr)

    def debian(self) -> str:
        """A plain Debian image: one that is here, one that can be pulled, or one made from packages."""
        with self.alone("debian"):
            return self._debian()

    def _debian(self) -> str:
        local = f"localhost/nimctl/lab-debian:{apt.RELEASE}"
        for reference in (local, DEBIAN):
            if self.engine.has_image(reference):
                return reference
        self.say(f"pulling {DEBIAN}")
        try:
            self.engine("pull", "--quiet", DEBIAN, timeout=_PULL_SECONDS)
        except CommandError:
            self.say("no image registry can be reached: bootstrapping Debian with mmdebstrap instead")
            self._bootstrap(local)
            return local
        return DEBIAN

    def _bootstrap(self, reference: str) -> None:
        """Make a plain Debian from packages.

        Raises:
            NimctlError: mmdebstrap is missing or failed.
        """
        if not shutil.which("mmdebstrap"):
            raise NimctlError(
                f"{DEBIAN} cannot be pulled, and mmdebstrap, which makes one from packages, is missing.\n"
                "Install it: apt-get install mmdebstrap debian-archive-keyring"
            )
        sources, scratch = apt.detect(), self.scratch
        options = [
            *("--variant=apt", "--include=ca-certificates"),
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
            "--dpkgopt=force-unsafe-io",
            bootstrap_mark(self.lab),
            *(f'--aptopt={name} "{value}"' for name, value in sources.settings),
        ]
        argv = (
            *(*root_prefix(), "env", f"TMPDIR={scratch}"),
            *("mmdebstrap", *options, apt.RELEASE, "-", sources.archive),
        )
        log = scratch / "mmdebstrap.log"
        with (
            log.open("wb") as errors,
            subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as maker,  # noqa: S603 (no shell)
            running(maker),
        ):
            assert maker.stdout
            self.engine(
                "import",
                "--change=CMD /bin/bash",
                f"--change=LABEL {CACHE_LABEL}=debian",
                "-",
                f"{reference}-incomplete",
                source=maker.stdout,
                timeout=1200,
                check=False,
            )
        if maker.returncode:
            raise CommandError(argv, maker.returncode, log.read_text(errors="replace"))
        self.engine("tag", f"{reference}-incomplete", reference)
        self.engine("rmi", f"{reference}-incomplete")
        log.unlink()


def _packages(recipe: Recipe) -> str:
    names = " ".join(value for name, value in recipe.variables if name.endswith("PACKAGES"))
    return f" (downloads from the Debian mirror: {names})" if names else ""


def bootstrap_mark(lab: str) -> str:
    """An option of mmdebstrap that does nothing, by which the process of an interrupted start is found."""
    return f"--setup-hook=: {LABEL}={lab}"


def cache_folder() -> Path:
    """Where locks and temporary files of labs lie: ``$XDG_CACHE_HOME/nimctl/lab``, by default in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "nimctl" / "lab"
