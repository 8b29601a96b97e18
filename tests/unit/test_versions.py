"""The version stands in three files; a release must not forget one."""

import tomllib
from pathlib import Path

import yaml

import nimctl

ROOT = Path(__file__).parents[2]


def test_the_three_versions_are_one():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    collection = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert nimctl.__version__ == package == collection
