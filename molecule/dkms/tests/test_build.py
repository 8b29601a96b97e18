"""The open modules that Debian ships, built against the headers of Debian's kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
testinfra_hosts = ["ansible://node1"]
PACKAGE = "nvidia-open-kernel-dkms"
# A kernel that no longer declares what the modules call, as a newer one may; nv-pci.c is the caller.
NEWER = """set -e
kernel={kernel} common=$(ls -d /usr/src/linux-headers-*-common)
cp -al $common $common-newer
sed --in-place /pci_enable_device\\(struct/d $common-newer/include/linux/pci.h
cp -a /usr/src/linux-headers-$kernel /usr/src/linux-headers-$kernel-newer
sed --in-place s,$common,$common-newer, /usr/src/linux-headers-$kernel-newer/Makefile
mkdir -p /lib/modules/$kernel-newer
ln -sfn /usr/src/linux-headers-$kernel-newer /lib/modules/$kernel-newer/build
"""


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


@pytest.fixture
def kernel(host):
    return host.file("/opt/nimctl-host/proc/sys/kernel/osrelease").content_string.strip()


def test_dkms_has_installed_the_modules_for_the_kernel(root, kernel):
    (state,) = root.check_output("dkms status").splitlines()
    assert state == f"nvidia-current-open/{upstream(root)}, {kernel}, x86_64: installed"


def test_they_are_modules_of_this_kernel_and_version(root, kernel):
    found = root.check_output(f"find /lib/modules/{kernel}/updates/dkms -name '*.ko*'").split()
    names = {Path(path).name.partition(".")[0] for path in found}
    assert names >= {"nvidia-current-open", "nvidia-current-open-uvm", "nvidia-current-open-modeset"}
    module = next(path for path in found if Path(path).name.startswith("nvidia-current-open.ko"))
    fields = {
        name: root.check_output(f"modinfo -F {name} {module}") for name in ("version", "vermagic", "license")
    }
    assert fields["version"] == upstream(root)
    assert fields["vermagic"].startswith(f"{kernel} ")
    assert fields["license"] == "Dual MIT/GPL"


def test_a_build_that_fails_shows_the_compilers_words(root, kernel):
    root.check_output("bash -c %s", NEWER.format(kernel=kernel))
    before = root.check_output("dkms status; find /var/lib/dkms -maxdepth 3")
    try:
        done = trial(root.package(PACKAGE).version, f"{kernel}-newer")
        assert done.returncode != 0
        out = " ".join(done.stdout.split())
        assert f"do not build for the running kernel {kernel}-newer" in out
        assert "error: implicit declaration of function" in out
        assert "pci_enable_device" in out
        assert root.check_output("dkms status; find /var/lib/dkms -maxdepth 3") == before
    finally:
        root.check_output(f"rm -rf /lib/modules/{kernel}-newer /usr/src/*-newer")


def upstream(host):
    return host.package(PACKAGE).version.rpartition("-")[0]


def trial(version, kernel):
    """What a change of the driver does before it touches what is installed."""
    return subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", os.environ["NIMCTL_MOLECULE_INVENTORY"], "molecule/dkms/trial.yml"),
            *("-e", f"version={version}", "-e", f"kernel={kernel}"),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
