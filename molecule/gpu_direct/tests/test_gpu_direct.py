import json

import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]
BOOT = "/etc/modules-load.d/50-nimctl-gpu_direct.conf"


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def with_storage(host):
    return host.backend.get_hostname() == "node2"


def test_dma_buf_needs_nothing_and_storage_its_packages(root):
    for name in ("nvidia-fs", "nvidia-fs-dkms"):
        assert root.package(name).is_installed == with_storage(root)
    held = [name for name in root.check_output("apt-mark showhold").split() if name.startswith("nvidia-fs")]
    assert held == (["nvidia-fs", "nvidia-fs-dkms"] if with_storage(root) else [])


def test_modules_wait_for_the_next_boot(root):
    assert root.file(BOOT).exists == with_storage(root)
    if with_storage(root):
        lines = root.file(BOOT).content_string.splitlines()
        assert [line for line in lines if not line.startswith("#")] == ["nvidia_fs"]
    assert "nvidia_peermem" not in root.check_output("cat /etc/modules-load.d/*.conf; true")


def test_the_configuration_is_merged(root):
    text = root.file("/etc/cufile.json").content_string
    if not with_storage(root):
        assert "// NOTE" in text
        return
    document = json.loads(text)
    assert document["logging"] == {"level": "ERROR"}
    assert document["properties"]["allow_compat_mode"] is False
