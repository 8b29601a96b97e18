"""Folders of a node, and file systems that somebody else mounts."""

import pytest

from nimctl.description.document import Storage
from nimctl.stack.host import Folder, Host, Mount
from nimctl.stack.layers import storage_local
from nimctl.stack.plan import Question, RefusedError

ROOT = Mount(source="/dev/sda1", target="/", type="ext4")
SHARE = Mount(source="weka/x", target="/models", type="wekafs", options=("ro", "noatime"))


def plan(*mounts, folders=None, **fields):
    entry = Storage(**{"kind": "existing", "mount": "/models", **fields})
    return storage_local.plan(Question(Host(mounts=(ROOT, *mounts), folders=folders), (entry,)))


def test_what_is_mounted_and_answers_is_left_alone():
    assert plan(SHARE, options=["ro"]).values == {"steps": "verify", "folders": []}


@pytest.mark.parametrize(
    ("mounts", "fields", "reason"),
    [
        ((), {}, "no file system mounted there"),
        ((SHARE.model_copy(update={"answers": False}),), {}, "does not answer"),
        ((SHARE,), {"options": ["ro", "nodev"]}, "without nodev"),
    ],
)
def test_what_is_not_as_described_is_refused(mounts, fields, reason):
    with pytest.raises(RefusedError, match=reason):
        plan(*mounts, **fields)


def test_a_local_folder_is_made_and_the_root_disk_pointed_out():
    planned = plan(kind="local", mount="/nvme/models")
    assert planned.values["folders"] == [{"path": "/nvme/models", "mode": "0755", "uid": 1000}]
    assert "root file system" in planned.notes[0]
    nvme = Mount(source="/dev/nvme0n1", target="/nvme", type="xfs")
    assert plan(nvme, kind="local", mount="/nvme/models").notes == ()


def test_what_is_ignored_is_not_looked_at():
    assert plan(mode="ignore").values == {"steps": "ignore"}


def test_an_automount_point_that_waits_is_no_mount():
    waiting = Mount(source="/etc/auto.models", target="/models", type="autofs")
    existing = Storage(kind="existing", mount="/models")
    with pytest.raises(RefusedError, match=r"no file system mounted there.*ls /models/"):
        storage_local.plan(Question(Host(mounts=(waiting,)), (existing,)))


@pytest.mark.parametrize("mode", ["managed", "verify"])
def test_a_folder_that_is_missing_is_what_differs(mode):
    assert plan(kind="local", mode=mode, folders={}).will == ("make the folder /models",)
    assert plan(kind="local", mode=mode, folders={"/models": Folder(free_mib=9000)}).will == ()


def test_a_storage_without_room_is_pointed_out():
    full = {"/models": Folder(free_mib=12)}
    assert plan(SHARE, folders=full).notes == ("/models has 12 MiB left: no model can be brought there.",)
    assert plan(SHARE, folders=full, options=["ro"]).notes == ()
    assert plan(SHARE, folders={"/models": Folder(free_mib=4096)}).notes == ()
