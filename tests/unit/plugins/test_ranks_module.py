"""What the module that reconciles ranks does to a node's folders and to systemd."""

import getpass
import grp
import os

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import engine, files
from ansible_collections.nimctl.multinode.plugins.modules import ranks

SHOWN = "Id=nim-a-0-0.service\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload={reload}\n"


@pytest.fixture
def node(tmp_path, monkeypatch, run_module):
    """A node below a folder; ``node(mounts)`` makes it have one rank, ``node(None)`` none."""
    monkeypatch.setattr(engine.shutil, "which", lambda *_, **__: "/usr/bin/podman")
    monkeypatch.setattr(files.Record.__init__, "__defaults__", (tmp_path / "state",))
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    monkeypatch.setattr(files.File.__init__, "__defaults__", (0o644, user, group, False))
    monkeypatch.setattr(ranks, "UNIT_FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(ranks, "CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ranks, "FOLDERS", (str(tmp_path / "etc/ranks"), str(tmp_path / "etc/secrets")))
    monkeypatch.setattr(ranks, "env_path", lambda cluster, rank: f"{tmp_path}/etc/ranks/{cluster}/{rank}.env")
    monkeypatch.setattr(
        ranks, "secret_path", lambda cluster, name: f"{tmp_path}/etc/secrets/{cluster}/{name}"
    )
    write = files.write_atomic
    owner = {"uid": os.getuid(), "gid": os.getgid()}
    monkeypatch.setattr(files, "write_atomic", lambda path, text, mode, *_: write(path, text, mode, **owner))

    def call(mounts, reload="no", purge=False, check=False, storage=()):
        def run(command):
            shown = SHOWN.format(reload=reload) if command[:2] == ["systemctl", "show"] else ""
            return 0, shown, ""

        unit = "[X-Nimctl]\nCluster=lab\nSpec=one\nEngine=podman\n"
        rank = {"name": "a-0-0", "deployment": "a", "replica": 0, "rank": 0, "spec": "one", "secrets": []}
        rank["requires_mounts"] = list(storage)
        wanted = [] if mounts is None else [{**rank, "mounts": mounts, "env_text": "", "unit_text": unit}]
        settings: dict = {"script": "", "keys": {}}
        settings |= {"cluster": "lab", "engine": "podman", "ranks": wanted, "purge": purge, "values": {}}
        return run_module(ranks, run, check, **settings)

    call.folder = tmp_path
    return call


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("check", [True, False])
def test_weights_that_are_not_there_are_refused_before_anything_changes(node, check):
    result = node([{"source": f"{node.folder}/models/r1", "read_only": True}], check=check)
    assert result["failed"]
    assert f"{node.folder}/models/r1 is not there" in result["msg"]
    assert "No rank was changed" in result["msg"]
    assert tree(node.folder) == []
    assert not [command for command in result["commands"] if command.startswith("systemctl")]


def test_weights_that_are_there_are_fine(node):
    (node.folder / "models").mkdir()
    assert not node([{"source": f"{node.folder}/models", "read_only": True}])["failed"]


def test_a_storage_that_is_not_mounted_is_refused_before_anything_changes(node, monkeypatch):
    models = node.folder / "models"
    models.mkdir()
    monkeypatch.setattr(ranks, "is_mounted", lambda run, path: False)
    read = [{"source": str(models), "read_only": True}]
    result = node(read, storage=[str(models)])
    assert result["failed"]
    assert f"{models} should be a mounted storage and is not" in result["msg"]
    assert tree(node.folder) == []
    monkeypatch.setattr(ranks, "is_mounted", lambda run, path: True)
    assert not node(read, storage=[str(models)])["failed"]


def test_check_mode_takes_a_storage_for_mounted_that_the_same_run_would_mount(node):
    models = f"{node.folder}/models"
    result = node([{"source": f"{models}/r1", "read_only": True}], check=True, storage=[models])
    assert not result["failed"]


def test_purging_removes_our_caches_alone(node):
    mounts = [{"source": f"{node.folder}/{name}"} for name in ("cache/a", "srv/models")]
    assert not node(mounts)["failed"]
    for mount in mounts:
        files.Path(mount["source"], "weights").touch()
    result = node(None, purge=True)
    assert f"{node.folder}/cache/a" in result["paths"]
    assert tree(node.folder) == ["srv/models/weights"]


def test_caches_stay_without_purging(node):
    node([{"source": f"{node.folder}/cache/a"}])
    node(None)
    assert (node.folder / "cache/a").is_dir()


def test_a_folder_in_the_cache_that_was_there_before_is_not_purged(node):
    (node.folder / "cache/a").mkdir(parents=True)
    (node.folder / "cache/a/weights").touch()
    node([{"source": f"{node.folder}/cache/a"}])
    node(None, purge=True)
    assert (node.folder / "cache/a/weights").exists()


def test_systemd_is_told_of_a_unit_that_an_interrupted_run_wrote(node):
    node([])
    assert "systemctl daemon-reload" not in node([])["commands"]
    assert "systemctl daemon-reload" in node([], reload="yes")["commands"]


def test_a_node_that_is_as_wanted_does_not_change(node):
    assert node([])["changed"]
    assert not node([])["changed"]
