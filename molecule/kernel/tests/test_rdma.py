"""Soft RoCE between the two clients. How fast it is means nothing here."""

import pytest


def test_the_device_is_up_on_every_node(nodes):
    for node in nodes.values():
        assert "rxe0/1 state ACTIVE physical_state LINK_UP netdev eth0" in node.sh("rdma link show")
        assert "RoCE v2" in node.sh("cat /sys/class/infiniband/rxe0/ports/1/gid_attrs/types/1")


@pytest.mark.parametrize(
    ("serve", "ask"),
    [
        ("rping -s -C 5", "rping -c -a {} -C 5 -v"),
        ("ib_write_bw -d rxe0 -R -s 4096 -n 50", "ib_write_bw -d rxe0 -R -s 4096 -n 50 {}"),
    ],
)
def test_memory_of_one_node_is_written_by_another(nodes, serve, ask):
    nodes["node2"].sh(f"systemd-run --quiet --collect --unit=molecule-rdma {serve}")
    # The connection manager refuses as long as nobody listens.
    nodes["node3"].wait(f"timeout 60 {ask.format(nodes['node2'].address)}", 90)
