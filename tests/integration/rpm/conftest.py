"""Fixture repositories for dnf, and empty roots of RHEL 9 and 10 to install into."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
for folder in (ROOT / "collections", ROOT / "tests" / "fixtures" / "repositories"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Behind the line above, which says where they are.
import rpm_build  # noqa: E402
import rpm_nvidia  # noqa: E402
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf  # noqa: E402
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import (  # noqa: E402
    Repository,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.switch import (  # noqa: E402
    check_offered,
    difference,
    switch,
)

NEEDED = ("dnf", "rpm", "rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c", "gpg")


def pytest_collection_modifyitems(items):
    """Without dnf there is nothing to run; `make setup` installs it."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        for item in items:
            if Path(item.fspath).parent == Path(__file__).parent:
                item.add_marker(pytest.mark.skip(reason=f"{', '.join(missing)} missing; run `make setup`"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


KEYS = {
    "cuda/rhel9/x86_64": "D42D0685.pub",
    "cuda/rhel10/x86_64": "CDF6BA43.pub",
    "toolkit/stable/rpm/x86_64": "../../../gpgkey",
    "base": "key",
}
"""Folders of the repositories, laid out as their publishers do, and where each has its key."""


class Published:
    """Repositories below one address, and the key that signs them."""

    def __init__(self, folder: Path, address: str, key: rpm_build.Key) -> None:
        self.folder = folder
        self.address = address
        self.key = key

    def repository(self, name: str, **changes: str) -> Repository:
        """What a planner would say of one, by its folder."""
        url = f"{self.address}/{name}/"
        given = {"id": name.replace("/", "-"), "kind": "dnf", "url": url, "key_url": f"{url}key.asc"}
        return Repository(**{**given, "fingerprint": self.key.fingerprint, **changes})

    def mirrors(self) -> dict[str, dict[str, str]]:
        """As ``stack.mirrors`` of a description has them."""
        key = self.key.fingerprint
        return {
            "nvidia": {"url": f"{self.address}/cuda", "key": key},
            "container_toolkit": {"url": f"{self.address}/toolkit", "key": key},
        }


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The repositories of NVIDIA for RHEL 9 and 10, that of the toolkit, and what a distribution has."""
    folder = tmp_path_factory.mktemp("repositories")
    key = rpm_build.make_key(tmp_path_factory.mktemp("keys") / "key")
    rpms, modules = rpm_nvidia.rhel9()
    rpm_build.publish(folder / "cuda/rhel9/x86_64", rpms, key, modules)
    rpm_build.publish(folder / "cuda/rhel10/x86_64", rpm_nvidia.rhel10(), key)
    rpm_build.publish(folder / "toolkit/stable/rpm/x86_64", list(rpm_nvidia.toolkit()), key)
    rpm_build.publish(folder / "base", rpm_nvidia.distribution(), key)
    for name, place in KEYS.items():
        (folder / name / place).write_text(key.public)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Published(folder, f"http://127.0.0.1:{server.server_address[1]}", key)
    server.shutdown()


class Node:
    """A root without any package, and dnf that works on it."""

    def __init__(self, root: Path, release: int, published: Published) -> None:
        self.root = root
        self.release = release
        self.published = published
        self.calls: list[list[str]] = []
        self.dnf = Dnf(self.run)
        (root / "etc/yum.repos.d").mkdir(parents=True)
        (root / "key.asc").write_text(published.key.public)

    def run(self, command, **_):
        """Run dnf and rpm on the root instead of this machine; what a caller sets comes last and wins."""
        program, *words = command
        self.calls.append(list(command))
        if program == "rpm":
            prefix = ["rpm", f"--root={self.root}"]
        else:
            settings = {
                "reposdir": f"{self.root}/etc/yum.repos.d",
                "cachedir": f"{self.root}/cache",
                "module_platform_id": f"platform:el{self.release}",
                "plugins": "False",
            }
            prefix = [
                "dnf",
                f"--installroot={self.root}",
                f"--releasever={self.release}",
                "--forcearch=x86_64",
            ]
            prefix += [f"--setopt={name}={value}" for name, value in settings.items()]
        done = subprocess.run([*prefix, *words], capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def knows(self, *names: str) -> None:
        """Set repositories up as the module does, with the key where this test has it."""
        for name in names:
            text = self.published.repository(name).source(f"{self.root}/key.asc")
            self.source(name).write_text(text)

    def source(self, name: str) -> Path:
        """Where dnf here reads about a repository."""
        return self.root / f"etc/yum.repos.d/{name.replace('/', '-')}.repo"

    def bring(self, versions: dict[str, str], replaces: tuple[str, ...] = ()) -> list[str]:
        """What the module ``packages`` does with wanted versions; the names that changed."""
        change = difference(self.has(*versions, *replaces), (), versions, replaces)
        check_offered(self.dnf, change.install, self.dnf.update)
        switch(self.dnf, change, (), lambda brought: None)
        return change.names()

    def has(self, *names: str) -> dict[str, str]:
        return self.dnf.installed(names)


TOOLKIT = "toolkit/stable/rpm/x86_64"


def made(root: Path, release: int, published: Published) -> Node:
    node = Node(root, release, published)
    node.knows(f"cuda/rhel{release}/x86_64", TOOLKIT, "base")
    return node


@pytest.fixture
def rhel9(tmp_path, published):
    return made(tmp_path / "root", 9, published)


@pytest.fixture
def rhel10(tmp_path, published):
    return made(tmp_path / "root", 10, published)


@pytest.fixture(params=[9, 10])
def node(request, tmp_path, published):
    return made(tmp_path / "root", request.param, published)
