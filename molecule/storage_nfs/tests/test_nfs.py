import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://nim_nodes"]
ROOT = Path(__file__).parents[3]


def is_server(host):
    return host.backend.get_hostname() == "node1"


def test_units_are_well_formed_and_enabled(host):
    names = ["models.mount"] if is_server(host) else ["models.mount", "models.automount"]
    with host.sudo():
        for name in names:
            found = host.run(f"systemd-analyze verify /etc/systemd/system/{name}")
            assert not re.search(rf"{re.escape(name)}:", found.stderr)
        enabled = host.check_output(f"systemctl is-enabled {names[-1]}")
    assert enabled == "enabled"


def test_exactly_the_other_node_is_let_in(host):
    file = host.file(f"/etc/exports.d/nimctl-{cluster(host)}.exports")
    if not is_server(host):
        assert not file.exists
        return
    # node1, the first node, is the server too.
    addresses = host.ansible.get_variables()["nim_cluster_addresses"]
    clients = [line.strip(" \\") for line in file.content_string.splitlines()[2:]]
    assert clients == addresses["node2"]


def cluster(host):
    return host.ansible.get_variables()["nim_cluster"]


def test_the_server_has_its_export_at_the_mount_point(host):
    if is_server(host):
        assert host.mount_point("/models").exists


def test_nobody_writes_below_a_mount_point(host):
    if not is_server(host):
        assert host.file("/models").mode == 0o555


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_refused_and_nothing_changes(host):
    entry = "{kind: nfs, server: 192.0.2.9, export: /x, mount: /elsewhere}"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", os.environ["NIMCTL_MOLECULE_INVENTORY"], "-l", host.backend.get_hostname()),
            *("-e", f"{{storage_nfs_entries: [{entry}]}}"),
            ROOT / "molecule/storage_nfs/converge.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "192.0.2.9, TCP port 2049 cannot be reached" in done.stdout
    assert "changed=0" in done.stdout
    assert host.file("/etc/systemd/system/models.mount").exists
