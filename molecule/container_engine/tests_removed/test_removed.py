import json

testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_no_engine_is_left(host):
    assert not host.exists("docker")
    assert not host.exists("podman")


def test_no_file_of_ours_is_left(host):
    with host.sudo():
        found = host.check_output("find /etc /run/systemd -name '*nimctl*' -not -name '*nimctl-lab*'")
        records = host.check_output("find /var/lib/nimctl -type f -name 'container_engine*'")
    assert found == ""
    assert records == ""


def test_daemon_json_is_as_the_site_had_it(host):
    file = host.file("/etc/docker/daemon.json")
    if file.exists:
        document = json.loads(file.content_string)
        assert set(document) == {"default-cgroupns-mode", "default-runtime", "runtimes"}
        assert set(document["runtimes"]) == {"lab"}
