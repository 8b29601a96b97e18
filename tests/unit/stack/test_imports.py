"""Whoever imports a module of the stack first, such as an action plugin, gets it whole."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["nimctl.stack.versions", "nimctl.stack.compatibility", "nimctl.stack.rows", "nimctl.description"],
)
def test_a_module_can_be_imported_first(module):
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
