"""Mount points on a node: names of units, and whether something is mounted and answers."""

import shutil
import subprocess

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import mounts

TABLE = """\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 25 0:40 / /models rw - autofs systemd-1 rw,fd=50
41 40 0:50 / /models rw,relatime shared:7 - nfs4 store01:/srv/models rw,vers=4.2,nconnect=8
42 25 0:51 / /srv/a\\040b ro - xfs /dev/vdb ro
43 25 0:40 / /waiting rw - autofs systemd-1 rw,fd=51
"""


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/models", "models.mount"),
        ("/srv/my-models/", "srv-my\\x2dmodels.mount"),
        ("/srv/a b", "srv-a\\x20b.mount"),
        ("/.hidden/x", "\\x2ehidden-x.mount"),
        ("/", "-.mount"),
    ],
)
def test_units_are_named_as_systemd_names_them(path, unit):
    assert mounts.unit_of(path) == unit
    if shutil.which("systemd-escape"):
        command = ["systemd-escape", "--path", "--suffix=mount", path]
        assert subprocess.check_output(command, text=True).strip() == unit


def test_the_last_mount_at_a_place_counts():
    found = mounts.at("/models/", mounts.mounted(TABLE))
    assert (found.source, found.type) == ("store01:/srv/models", "nfs4")
    assert "nconnect=8" in found.options
    assert mounts.at("/srv/a b", mounts.mounted(TABLE)).source == "/dev/vdb"
    assert mounts.at("/srv", mounts.mounted(TABLE)) is None


@pytest.mark.parametrize(
    ("path", "status", "is_there"),
    [("/models", 0, True), ("/models", 124, False), ("/waiting", 0, False), ("/srv", 0, False)],
)
def test_an_automount_point_alone_and_one_that_hangs_are_not_mounted(
    path, status, is_there, monkeypatch, tmp_path
):
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    assert mounts.is_mounted(lambda command: (status, "", ""), path) is is_there
