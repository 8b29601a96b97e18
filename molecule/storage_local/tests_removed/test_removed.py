testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_an_empty_folder_is_gone_and_one_with_data_stays(host):
    folder = host.file("/mnt/nvme/models")
    if host.backend.get_hostname() == "node1":
        assert host.file("/mnt/nvme/models/weights").content_string == "precious"
    else:
        assert not folder.exists
        assert not host.file("/mnt/nvme").exists


def test_what_somebody_else_mounts_is_still_mounted(host):
    if host.backend.get_hostname() == "node2":
        assert host.mount_point("/mnt/shared").exists


def test_no_record_is_left(host):
    with host.sudo():
        assert host.check_output("find /var/lib/nimctl -name 'storage_local*'") == ""
