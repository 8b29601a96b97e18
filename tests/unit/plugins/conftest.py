"""Make the collection importable as Ansible does, from the links in this clone; run modules without it."""

import grp
import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).parents[3] / "collections"
if str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))


class ModuleEnd(Exception):  # noqa: N818 - the normal end of a module
    """A module ended; carries its result."""


class FakeModule:
    """As much of AnsibleModule as a module's ``work`` needs; commands go to ``run``, with what they read."""

    def __init__(self, params, run, check_mode):
        self.params = params
        self.check_mode = check_mode
        self.commands = []
        self.warnings = []
        self._run = run

    def run_command(self, command, **options):
        self.commands.append(" ".join(command))
        return self._run(command, data=options["data"]) if "data" in options else self._run(command)

    def get_bin_path(self, name):
        return shutil.which(name)

    def warn(self, message):
        self.warnings.append(message)

    def exit_json(self, **result):
        raise ModuleEnd(result)

    def fail_json(self, **result):
        raise ModuleEnd({"failed": True, **result})


@pytest.fixture
def run_module():
    """``run_module(module, run, check=False, **params)`` gives the result, with ``commands`` that it ran."""

    def call(module, run, check=False, **params):
        fake = FakeModule(params, run, check)
        try:
            module.work(fake)
        except ModuleEnd as end:
            return {"failed": False, **end.args[0], "commands": fake.commands}
        raise AssertionError("the module ended without a result")

    return call


@pytest.fixture
def ours(monkeypatch):
    """Let files that should belong to root belong to whoever runs the tests."""
    from ansible_collections.nimctl.multinode.plugins.module_utils import files

    monkeypatch.setattr(files.pwd, "getpwnam", lambda name: pwd.getpwuid(os.getuid()))
    monkeypatch.setattr(files.grp, "getgrnam", lambda name: grp.getgrgid(os.getgid()))
