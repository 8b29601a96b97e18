import os
import subprocess
import sys
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]
ROOT = Path(__file__).parents[3]


def test_the_folder_belongs_to_those_who_run_in_containers(host):
    folder = host.file("/mnt/nvme/models")
    assert folder.is_directory
    assert (folder.uid, folder.mode) == (1000, 0o755)


def test_what_somebody_else_mounts_is_left_as_it_is(host):
    if host.backend.get_hostname() == "node2":
        with host.sudo():
            assert "noatime" in host.mount_point("/mnt/shared").options
            folder = host.file("/mnt/shared")
            assert (folder.user, folder.mode) == ("root", 0o750)


def test_a_run_puts_nothing_else_there(host):
    with host.sudo():
        assert host.check_output("find /mnt -mindepth 2") == "/mnt/nvme/models"
        assert host.check_output("find /etc /var/lib/nimctl -name '*storage_local*'").splitlines() == [
            "/var/lib/nimctl/folders_of_roles/storage_local.json"
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/mnt/nowhere", "storage /mnt/nowhere: found no file system mounted there"),
        ("/", "storage /: found it mounted without noatime"),
    ],
)
def test_what_is_not_mounted_as_described_is_refused_and_nothing_changes(host, path, words):
    if host.backend.get_hostname() != "node2":
        pytest.skip("this node has nothing that somebody else mounts")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *(
                "-i",
                os.environ["NIMCTL_MOLECULE_INVENTORY"],
                "-l",
                "node2",
                "-e",
                f"molecule_existing={path}",
            ),
            ROOT / "molecule/storage_local/converge.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stdout
    assert "changed=0" in done.stdout
    assert not host.file("/mnt/nowhere").exists
