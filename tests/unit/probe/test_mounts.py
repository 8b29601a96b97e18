import os

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host import mounts
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

TABLE = r"""
22 1 0:21 / /proc rw - proc proc rw
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/md0 rw,stripe=4
40 28 0:44 / /models rw,relatime shared:3 - nfs4 store01:/srv/models rw,vers=4.2,nconnect=8,hard
41 28 0:44 /a /srv/part rw,relatime shared:3 - nfs4 store01:/srv/models/a rw,vers=4.2
42 28 0:45 / /scratch rw - autofs /etc/auto.scratch rw,fd=7
43 28 0:46 / /with\040blank rw - cifs //filer/share\040one rw
44 28 0:47 / /lustre rw - lustre 10.0.0.5@o2ib:/fs rw,flock
45 28 0:48 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
46 28 0:49 / /home rw - fuse.sshfs user@host:/home rw
47 28 0:50 / /dev/shm rw - tmpfs tmpfs rw,size=1024k
48 40 0:51 / /models rw - wekafs weka/models rw
broken line
"""


@pytest.fixture
def asked(tree, monkeypatch):
    """Read the table as if it were the kernel's; answers are given by target, all others are True."""

    def read(silent=(), failing=()):
        recorded = tree({"/proc/self/mountinfo": TABLE})
        monkeypatch.setattr(mounts, "_is_ours", lambda _: True)
        questions = []

        def ask(given, seconds):
            questions.extend(given)
            answers = {target: {"answers": True} for target in given if target not in silent}
            answers.update({target: {"answers": False, "reason": "Stale file handle"} for target in failing})
            return answers, [target for target in given if target in silent]

        monkeypatch.setattr(mounts, "ask_apart", ask)
        return {mount["target"]: mount for mount in mounts.read(recorded)}, questions, recorded.problems

    return read


def test_what_may_hold_data_is_reported(asked):
    found, _, problems = asked()
    assert sorted(found) == ["/", "/dev/shm", "/home", "/lustre", "/models", "/srv/part", "/with blank"]
    assert found["/with blank"]["source"] == "//filer/share one"
    assert found["/srv/part"]["options"] == ["rw", "relatime", "vers=4.2"]
    assert problems == []


def test_each_type_is_asked_but_memory_and_automount_points(asked):
    _, questions, _ = asked()
    # /models is covered by a mount on top of it; the one below cannot be reached by its name.
    assert sorted(questions) == ["/", "/home", "/lustre", "/models", "/srv/part", "/with blank"]


def test_a_file_system_that_is_mounted_twice_is_asked_once(tree, monkeypatch):
    recorded = tree(
        {
            "/proc/self/mountinfo": "40 28 0:44 / /models rw - nfs4 store01:/srv/models rw\n"
            "41 28 0:44 /a /part rw - nfs4 store01:/srv/models rw\n"
        }
    )
    monkeypatch.setattr(mounts, "_is_ours", lambda _: True)
    monkeypatch.setattr(mounts, "ask_apart", lambda given, seconds: ({}, list(given)))
    assert [mount["answers"] for mount in mounts.read(recorded)] == [False, False]
    assert len(recorded.problems) == 2


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/lustre", "/lustre (10.0.0.5@o2ib:/fs, lustre)"),
        ("/with blank", "/with blank (//filer/share one, cifs)"),
        ("/home", "/home (user@host:/home, fuse.sshfs)"),
        ("/models", "/models (weka/models, wekafs)"),
    ],
)
def test_one_that_does_not_answer_is_named(asked, target, named):
    found, _, problems = asked(silent=[target])
    assert found[target]["answers"] is False
    assert problems == [f"{named} does not answer since 0 s"]


def test_one_that_answers_with_an_error_is_named_with_it(asked):
    found, _, problems = asked(failing=["/models"])
    assert found["/models"]["answers"] is False
    assert problems == ["/models (weka/models, wekafs) answers with an error: Stale file handle"]


def test_a_mount_that_is_closed_to_us_is_not_said_to_be_dead(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "statvfs", refuse)
    assert mounts._question("/home")() == {"answers": None}


def test_the_mounts_of_this_machine_answer():
    tree = Tree()
    found = mounts.read(tree)
    assert [mount["answers"] for mount in found if mount["target"] == "/"] in ([True], [None])
    assert tree.problems == []


def test_a_recorded_host_may_keep_the_mounts_of_the_machine(tmp_path):
    (tmp_path / "listings").mkdir()
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").symlink_to("/proc/self/mountinfo")
    assert mounts._is_ours(Tree("/", str(tmp_path)))
