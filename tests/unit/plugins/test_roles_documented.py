"""Every variable of a role has a default or is required, is documented, and stands in the role's README."""

from pathlib import Path

import pytest
import yaml

from nimctl.inventory import compose, read

ROLES = sorted(path.name for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())
ROOT = Path(__file__).parents[3] / "roles"
# Names that the inventory of a cluster gives, whatever role reads them.
COMPOSED = compose(read(Path(__file__).parents[3] / "inventories" / "prod"))
INVENTORY = {"nim_cluster", "nim_ranks", "nim_secrets"}


def load(role, part):
    return yaml.safe_load(
        (ROOT / role / part / ("argument_specs.yml" if part == "meta" else "main.yml")).read_text()
    )


def options(role):
    return load(role, "meta")["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_name_the_same_variables(role):
    assert set(load(role, "defaults")) == set(options(role)) - INVENTORY


@pytest.mark.parametrize("role", ROLES)
def test_a_default_is_the_one_that_the_documentation_gives(role):
    for name, value in load(role, "defaults").items():
        # Arguments are validated before any fact is known: a default that is computed could not be.
        assert "{{" not in str(value), name
        assert options(role)[name]["default"] == value, name


@pytest.mark.parametrize("role", ROLES)
def test_every_option_says_what_it_is(role):
    def walk(spec, path):
        for name, option in spec.items():
            assert option.get("description"), f"{path}.{name}"
            assert option.get("type"), f"{path}.{name}"
            walk(option.get("options", {}), f"{path}.{name}")

    for entry, spec in load(role, "meta")["argument_specs"].items():
        assert spec["short_description"], entry
        walk(spec["options"], entry)


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_names_every_variable(role):
    text = (ROOT / role / "README.md").read_text()
    assert not [name for name in options(role) if f"`{name}`" not in text]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_be_removed(role):
    assert (ROOT / role / "tasks" / "remove.yml").exists()
    assert "remove" in load(role, "meta")["argument_specs"]


@pytest.mark.parametrize("role", ROLES)
def test_every_template_says_that_it_is_managed(role):
    for template in (ROOT / role / "templates").glob("*"):
        assert template.read_text().splitlines()[0] == "{{ ansible_managed | comment }}", template


def test_a_rank_of_the_inventory_is_one_that_the_role_knows():
    ranks = [rank for host in COMPOSED["_meta"]["hostvars"].values() for rank in host.get("nim_ranks", [])]
    known = options("nim_rank")["nim_ranks"]["options"]
    required = {name for name, option in known.items() if option.get("required")}
    assert ranks
    for rank in ranks:
        assert required <= set(rank) <= set(known)
        for mount in rank["mounts"]:
            assert set(mount) == set(known["mounts"]["options"])
