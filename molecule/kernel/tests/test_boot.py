"""node2 after the reboot that the run made of itself, because nouveau held its GPU."""

GPU = "pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00"


def test_only_the_node_whose_kernel_had_to_change_was_rebooted(nodes):
    look = "cat /root/boot.before /proc/sys/kernel/random/boot_id | uniq | wc -l"
    boots = {name: int(node.sh(look)) for name, node in nodes.items()}
    assert boots == {"node1": 1, "node2": 2, "node3": 1}


def test_nouveau_is_kept_out_and_nothing_else_is(nodes):
    # The rule of udev that loaded it before the run asks for it at each boot.
    node = nodes["node2"]
    assert node.run(f"modprobe --use-blacklist --show-depends {GPU}").stdout == ""
    # Without what is configured it would be loaded; by its name it is, and does nothing then.
    assert "nouveau.ko" in node.sh(f"modprobe --config /run/nowhere --show-depends {GPU}")
    assert "modeset=0" in node.sh("modprobe --show-depends nouveau")
    assert "nouveau" not in node.sh("cut -d' ' -f1 /proc/modules")


def test_modules_were_loaded_by_the_boot(nodes):
    node = nodes["node2"]
    loaded = node.sh("cut -d' ' -f1 /proc/modules").split()
    assert {"ib_uverbs", "rdma_ucm", "rdma_rxe", "nvidia", "nvidia_uvm"} <= set(loaded)
    said = node.sh("journalctl --boot --unit systemd-modules-load --output cat")
    assert "Inserted module 'rdma_rxe'" in said


def test_what_runs_came_back_with_the_boot(nodes):
    for unit in ("nimctl-rxe.service", "models.automount"):
        assert (
            nodes["node2"].sh(f"systemctl is-enabled {unit}; systemctl is-active {unit}") == "enabled\nactive"
        )
    assert "table inet nimctl_" in nodes["node2"].sh("nft list tables")


def test_the_node_was_given_back(nodes):
    cluster = nodes["node2"].variables["nim_cluster"]
    nodes["node2"].sh(
        f"! test -e /var/lib/nimctl/{cluster}/drained && ! ls /var/lib/nimctl/{cluster}/held/* 2>/dev/null"
    )
