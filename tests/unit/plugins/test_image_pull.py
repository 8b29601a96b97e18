"""The folders with logins that live as long as a pull."""

import pytest
from ansible_collections.nimctl.multinode.plugins.modules import image_pull


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(image_pull, "SECRETS", tmp_path / "nimctl")
    return tmp_path / "nimctl"


def test_what_a_killed_pull_left_behind_goes(memory):
    (memory / "pull-killed").mkdir(parents=True)
    (memory / "pull-killed" / "config.json").write_text("{}")
    image_pull.sweep()
    assert list(memory.iterdir()) == []


def test_the_pull_of_another_run_keeps_its_login(memory):
    with image_pull.private_folder() as folder:
        image_pull.sweep()
        assert folder.is_dir()
    assert list(memory.iterdir()) == []


def test_nothing_is_swept_where_nothing_was_pulled(memory):
    image_pull.sweep()
    assert not memory.exists()


def test_a_login_lies_in_a_private_file_and_goes_also_when_the_pull_fails(memory):
    class Engine:
        def pull(self, image, folder):
            config = folder / "config.json"
            assert config.stat().st_mode & 0o777 == 0o600
            assert folder.stat().st_mode & 0o777 == 0o700
            raise RuntimeError(image)

    with pytest.raises(RuntimeError, match="nvcr"):
        image_pull.pull(Engine(), "nvcr.io/x", {"host": "nvcr.io", "username": "u", "password": "p"})
    assert list(memory.iterdir()) == []
