import pytest
import yaml

testinfra_hosts = ["ansible://node1", "ansible://node2"]
BASE = "nvidia-container-toolkit-base"
VERSIONS = {"node1": "1.19.1-1", "node2": "1.20.0-1"}
ENGINES = {"node1": "podman", "node2": "docker"}
IMAGE = "nimctl-gpu-test"
# An image of two programs and their libraries: no registry is needed.
IMPORT = """set -eu
ldd /usr/bin/sleep /usr/bin/dd | grep -o '/lib[^ ]*' | sort -u > /tmp/libraries
tar --dereference --hard-dereference -cf /tmp/image.tar -T /tmp/libraries /usr/bin/sleep /usr/bin/dd
{engine} import /tmp/image.tar {image}
rm /tmp/image.tar /tmp/libraries
"""
# As the units of ranks do.
START = {
    "docker": "docker run --detach",
    "podman": "systemd-run --quiet --collect -p Delegate=yes podman run --rm --cgroups=split",
}


def name(host):
    return host.backend.get_hostname()


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def test_the_base_package_is_there_in_the_right_version_and_held(root):
    assert root.package(BASE).version == VERSIONS[name(root)]
    assert not root.package("nvidia-container-toolkit").is_installed
    assert BASE in root.check_output("apt-mark showhold").split()


def test_an_upgrade_of_the_node_leaves_it_alone(root):
    assert BASE not in root.check_output("apt-get --simulate --quiet=2 upgrade")


def test_the_specification_has_every_gpu(root):
    text = root.file("/var/run/cdi/nvidia.yaml").content_string
    document = yaml.safe_load(text)
    assert document["kind"] == "nvidia.com/gpu"
    assert [device["name"] for device in document["devices"]] == [*map(str, range(8)), "all"]


def test_it_is_renewed_at_boot_and_after_a_change_of_the_driver(root):
    assert root.service("nvidia-cdi-refresh.service").is_enabled
    assert root.service("nvidia-cdi-refresh.path").is_enabled
    assert root.check_output("systemctl is-active nvidia-cdi-refresh.path") == "active"


def test_the_hook_of_an_earlier_toolkit_is_gone(root):
    assert not root.file("/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json").exists


def test_a_container_keeps_its_gpu_when_systemd_reads_its_configuration_anew(root):
    engine = ENGINES[name(root)]
    root.check_output("sh -c %s", IMPORT.format(engine=engine, image=IMAGE))
    read = f"{engine} exec gpu /usr/bin/dd if=/dev/nvidia3 count=1"
    try:
        root.check_output(
            f"{START[engine]} --name gpu --net=none --device nvidia.com/gpu=3 {IMAGE} /usr/bin/sleep 600"
        )
        root.check_output(f"timeout 60 sh -c 'until {engine} exec gpu /usr/bin/sleep 0; do sleep 0.5; done'")
        assert root.run(read).rc == 0
        root.check_output("systemctl daemon-reload")
        assert root.run(read).rc == 0
        assert root.run(read.replace("nvidia3", "nvidia4")).rc != 0
    finally:
        root.run(f"{engine} rm -f gpu; {engine} rmi {IMAGE}")
