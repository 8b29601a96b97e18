"""After a change of the driver the next run renews the specification, and nothing else."""

TOOLKIT = "Have the container toolkit, and a specification that fits the driver"
PLAYBOOK = "molecule/nvidia_container_toolkit/converge.yml"
CHANGE = """
sed -i s/580.126.20/580.178.04/ /opt/nimctl-host/proc/driver/nvidia/version
cd /usr/lib/x86_64-linux-gnu && mv libcuda.so.580.126.20 libcuda.so.580.178.04
"""


def test_a_specification_of_the_former_driver_is_renewed(cluster):
    nodes = cluster(PLAYBOOK)
    nodes.on_all(CHANGE)
    assert nodes.run() == {"node1": {TOOLKIT}, "node2": {TOOLKIT}}
    for text in nodes.on_all("cat /var/run/cdi/nvidia.yaml").values():
        assert "libcuda.so.580.178.04" in text
        assert "580.126.20" not in text
    assert nodes.run() == {"node1": set(), "node2": set()}


def test_what_was_done_by_hand_is_undone(cluster):
    nodes = cluster(PLAYBOOK)
    nodes.nodes["node1"].sh("apt-mark unhold nvidia-container-toolkit-base")
    nodes.nodes["node2"].sh("rm /var/run/cdi/nvidia.yaml && systemctl disable --now nvidia-cdi-refresh.path")
    assert nodes.run() == {"node1": {TOOLKIT}, "node2": {TOOLKIT}}
    assert nodes.run() == {"node1": set(), "node2": set()}
