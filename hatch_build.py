"""Ship the Ansible collection inside the wheel, where Ansible finds it by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = "ansible_collections/nimctl/multinode"
SHIPPED = ("galaxy.yml", "LICENSE", "README.md", "site.yml", "meta", "playbooks", "plugins", "roles")


class CollectionHook(BuildHookInterface):
    """Adds the collection's folders to a standard wheel.

    An editable install skips this: it would freeze a copy of the tree, while the links below
    ``collections/`` follow it.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add every shipped path that exists to the wheel's contents."""
        if version == "editable" or self.target_name != "wheel":
            return
        for name in SHIPPED:
            path = Path(self.root, name)
            if path.exists():
                build_data["force_include"][str(path)] = f"{COLLECTION}/{name}"
