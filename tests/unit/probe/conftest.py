"""Make the collection importable the way Ansible does, and recorded hosts readable."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if str(ROOT / "collections") not in sys.path:
    sys.path.insert(0, str(ROOT / "collections"))

# Behind the line above, which says where they are.
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe  # noqa: E402
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree  # noqa: E402

from nimctl.stack.host import Host  # noqa: E402

HOSTS = ROOT / "tests" / "fixtures" / "hosts"


@pytest.fixture
def probed() -> Callable[[str], Host]:
    """Probe a recorded host by its name."""

    def by_name(name: str) -> Host:
        return Host.from_probe(probe(str(HOSTS / name), str(HOSTS / name)))

    return by_name


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Tree]:
    """Make a tree of files, path to content; a recorded one."""

    def of(files: dict[str, str | bytes], **options: object) -> Tree:
        (tmp_path / "listings").mkdir(exist_ok=True)
        for path, content in files.items():
            target = tmp_path / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Tree(str(tmp_path), str(tmp_path), **options)

    return of
