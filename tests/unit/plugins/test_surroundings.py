import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container, systemd_runs


def test_a_machine_is_no_container(tmp_path):
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/environ").write_bytes(b"HOME=/\0TERM=linux\0")
    assert container(tmp_path) == ""


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("run/systemd/container", "lxc\n", "lxc"),
        ("run/.containerenv", "", "podman"),
        (".dockerenv", "", "docker"),
        ("proc/1/environ", "HOME=/\0container=oci\0", "oci"),
    ],
)
def test_what_tells_a_container(tmp_path, file, text, found):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert container(tmp_path) == found


def test_systemd_runs_where_its_folder_is(tmp_path):
    assert not systemd_runs(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert systemd_runs(tmp_path)
