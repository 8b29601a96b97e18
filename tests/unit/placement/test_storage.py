"""Which storage has to be mounted before a rank may start."""

from __future__ import annotations

import pytest

from nimctl.cluster import Node
from nimctl.description.document import Storage
from nimctl.resolve.storage import mounts_below

NODE = Node("gpu01", "10.0.0.11", "h100-sxm", 8, None, False, 0)
SERVER = Node("store01", "10.0.0.10", None, 0, None, False, 1)
NFS = Storage(kind="nfs", server="store01", export="/srv/models", mount="/models")


@pytest.mark.parametrize(
    ("folders", "needed"),
    [
        (["/models/r1"], ("/models",)),
        (["/models"], ("/models",)),
        (["/models-of-others/r1", "/var/cache/nimctl/r1"], ()),
    ],
)
def test_a_folder_at_or_below_a_mount_needs_it(folders, needed):
    assert mounts_below([NFS], NODE, folders) == needed


def test_a_local_folder_is_no_mount():
    assert mounts_below([Storage(kind="local", mount="/models")], NODE, ["/models/r1"]) == ()


def test_what_somebody_else_mounts_is_needed_as_well():
    assert mounts_below([Storage(kind="existing", mount="/models/")], NODE, ["/models/r1"]) == ("/models",)


def test_the_server_of_an_export_reads_its_own_disk():
    same = Storage(kind="nfs", server="store01", export="/models", mount="/models")
    assert mounts_below([same], SERVER, ["/models/r1"]) == ()
    assert mounts_below([NFS], SERVER, ["/models/r1"]) == ("/models",), "bound to the mount point"
