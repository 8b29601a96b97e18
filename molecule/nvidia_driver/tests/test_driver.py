import json

import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]
VERSIONS = {"node1": "580.178.04", "node2": "595.91.07"}
PACKAGES = (
    "nvidia-driver-cuda",
    "nvidia-kernel-open-dkms",
    "libcuda1",
    "nvidia-persistenced",
    "nvidia-fabricmanager",
    "libnvidia-nscq",
)


@pytest.fixture
def version(host):
    return VERSIONS[host.backend.get_hostname()]


def test_everything_that_carries_the_version_has_the_one_that_was_asked_for(host, version):
    assert {name: host.package(name).version for name in PACKAGES} == dict.fromkeys(PACKAGES, f"{version}-1")


def test_the_modules_were_built_for_the_running_kernel(host, version):
    with host.sudo():
        states = host.check_output("dkms status -m nvidia").splitlines()
    assert [line.endswith(": installed") for line in states] == [True]
    assert f"nvidia/{version}, 6.8.0-85-generic" in states[0]


def test_an_upgrade_of_everything_leaves_it_where_it_is(host):
    with host.sudo():
        would = host.check_output("apt-get --simulate dist-upgrade")
    assert "nvidia" not in "".join(line for line in would.splitlines() if line.startswith("Inst"))


def test_no_other_branch_can_come_in(host, version):
    for name in ("cuda-drivers", "nvidia-fabricmanager-570"):
        out = host.check_output(f"apt-cache policy {name}")
        assert "Candidate: (none)" in out or f"Candidate: {version}-1" in out


def test_the_held_packages_are_marked(host):
    with host.sudo():
        held = host.check_output("apt-mark showhold").split()
    assert {"nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-fabricmanager"} <= set(held)


def test_nouveau_is_kept_out(host):
    text = host.check_output("cat /etc/modprobe.d/50-nimctl-nvidia_driver.conf")
    assert "blacklist nouveau" in text
    assert "options nouveau modeset=0" in text


def test_services_are_enabled_and_skipped_where_there_is_no_device(host):
    for unit in ("nvidia-persistenced", "nvidia-fabricmanager"):
        assert host.service(unit).is_enabled
        assert not host.service(unit).is_running
        assert host.check_output(f"systemctl show -P Result {unit}") == "success"


def test_the_repository_has_its_key_and_both_roles_need_it(host):
    with host.sudo():
        users = json.loads(host.check_output("cat /var/lib/nimctl/repository_users/nvidia-debian-13.json"))
        source = host.check_output("cat /etc/apt/sources.list.d/nimctl-nvidia-debian-13.sources")
    assert users == {"owners": ["nvidia_driver", "nvidia_fabric"]}
    assert "Signed-By: /etc/apt/keyrings/nimctl-nvidia-debian-13.asc" in source
