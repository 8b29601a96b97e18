import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def soft(host):
    return host.backend.get_hostname() == "node2"


def test_the_commands_of_verbs_are_there(root):
    for command in ("ibv_devinfo", "rping", "ibstat", "ib_write_bw"):
        assert root.exists(command), command


def test_modules_are_loaded_at_boot(root):
    text = root.file("/etc/modules-load.d/50-nimctl-rdma.conf").content_string
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ["ib_uverbs", "rdma_ucm", *(["rdma_rxe"] if soft(root) else ["ib_umad", "ib_ipoib"])]


def test_soft_roce_starts_with_the_node_and_not_in_a_container(root):
    unit = root.file("/etc/systemd/system/nimctl-rxe.service")
    assert unit.exists == soft(root)
    if soft(root):
        assert "type rxe netdev eth0" in unit.content_string
        assert root.service("nimctl-rxe").is_enabled
        shown = root.check_output("systemctl show -p ActiveState,ConditionResult nimctl-rxe")
        assert "ActiveState=inactive" in shown
        assert root.run("systemd-analyze verify nimctl-rxe.service").stderr == ""
