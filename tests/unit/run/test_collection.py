import configparser
import os
from pathlib import Path

import pytest

from nimctl.errors import RejectedError
from nimctl.run import collection
from nimctl.run.collection import Collection

ROOT = Path(__file__).parents[3]
CLONE = Collection(ROOT, ROOT / "collections")
WHEEL = Collection(Path("/venv/site-packages/ansible_collections/nimctl/multinode"), None)


def test_in_a_clone_the_collection_is_its_root():
    assert collection.find() == CLONE
    assert CLONE.playbook("site") == ROOT / "site.yml"
    assert CLONE.playbook("destroy") == ROOT / "playbooks" / "destroy.yml"


def test_an_installed_wheel_carries_the_collection(tmp_path):
    root = tmp_path / "ansible_collections" / "nimctl" / "multinode"
    root.mkdir(parents=True)
    (root / "site.yml").touch()
    assert collection.find(tmp_path / "nimctl") == Collection(root, None)


def test_a_package_without_the_collection_says_so(tmp_path):
    with pytest.raises(RejectedError, match="install nimctl again"):
        collection.find(tmp_path / "nimctl")


def test_everything_is_set_where_nothing_is(tmp_path):
    added = collection.environment(WHEEL, {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, tmp_path)
    assert {setting.variable for setting in collection.settings()} <= added.keys()
    assert "ANSIBLE_COLLECTIONS_PATH" not in added


def test_variables_of_the_user_win(tmp_path):
    base = {"HOME": str(tmp_path), "ANSIBLE_FORKS": "7"}
    assert "ANSIBLE_FORKS" not in collection.environment(WHEEL, base, tmp_path)


def test_the_users_ansible_cfg_wins_where_it_says_something(tmp_path):
    (tmp_path / "ansible.cfg").write_text("[defaults]\nforks = 3\n[connection]\npipelining = False\n")
    added = collection.environment(WHEEL, {"HOME": str(tmp_path)}, tmp_path)
    assert "ANSIBLE_FORKS" not in added
    assert "ANSIBLE_PIPELINING" not in added
    assert added["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] == "True"


def test_the_clones_own_ansible_cfg_is_taken_along(tmp_path):
    added = collection.environment(CLONE, {"HOME": str(tmp_path)}, ROOT)
    parser = configparser.ConfigParser()
    parser.read(ROOT / "ansible.cfg")
    assert added["ANSIBLE_FORKS"] == parser["defaults"]["forks"]


def test_the_clones_ansible_cfg_says_everything_that_nimctl_sets():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "ansible.cfg")
    for setting in collection.settings():
        written = [parser[section][key] for section, key in setting.keys if parser.has_option(section, key)]
        assert written, f"{setting.variable} is missing in ansible.cfg"
        if setting.variable != "ANSIBLE_FORKS":
            assert written[0].lower() == setting.value.lower()


def test_the_collections_of_the_user_stay_reachable(tmp_path):
    theirs = f"{tmp_path}/mine:/usr/share/theirs"
    added = collection.environment(
        CLONE, {"HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": theirs}, tmp_path
    )
    assert added["ANSIBLE_COLLECTIONS_PATH"] == f"{ROOT}/collections:{theirs}"


def test_a_collections_path_that_has_ours_is_left_alone(tmp_path):
    base = {"HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": f"/x:{ROOT}/collections"}
    assert "ANSIBLE_COLLECTIONS_PATH" not in collection.environment(CLONE, base, tmp_path)


def test_relative_collections_of_an_ansible_cfg_belong_to_its_folder(tmp_path):
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path = col\n")
    added = collection.environment(CLONE, {"HOME": str(tmp_path)}, tmp_path)
    assert added["ANSIBLE_COLLECTIONS_PATH"] == f"{ROOT}/collections:{tmp_path}/col"


def test_a_world_writable_folder_is_not_trusted_as_ansible_does_not(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "ansible.cfg").write_text("[defaults]\nforks = 3\n")
    folder.chmod(0o777)
    assert collection.configuration({"HOME": str(tmp_path)}, folder) != folder / "ansible.cfg"


def test_a_broken_ansible_cfg_is_named(tmp_path):
    (tmp_path / "ansible.cfg").write_text("forks = 3\n")
    with pytest.raises(RejectedError, match=r"ansible\.cfg cannot be read"):
        collection.environment(WHEEL, {"HOME": str(tmp_path)}, tmp_path)


def test_ansible_is_found_beside_python_though_not_on_path(tmp_path):
    added = collection.environment(CLONE, {"HOME": str(tmp_path), "PATH": "/usr/bin"}, tmp_path)
    assert added["PATH"] == f"{collection.scripts_folder()}:/usr/bin"
    assert collection.executable("ansible-playbook").parent == collection.scripts_folder()


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [(2, 24 << 30, 32), (64, 256 << 30, 256), (16, 4 << 30, 42), (1, 1 << 28, 5)],
)
def test_forks_fit_the_controller(cores, memory, expected):
    assert collection.forks(cores, memory) == expected
