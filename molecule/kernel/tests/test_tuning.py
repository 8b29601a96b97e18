"""Limits and settings on a kernel of its own. These machines have neither cpufreq nor bridges of PCIe."""


def test_settings_are_in_the_kernel_and_come_with_the_boot(nodes):
    node = nodes["node2"]
    assert node.sh("sysctl --values net.core.somaxconn") == "8192"
    floors = [
        line for line in node.sh("cat /etc/sysctl.d/99-nimctl-node_tuning.conf").splitlines() if " = " in line
    ]
    assert len(floors) > 1
    for name, wanted in (line.split(" = ") for line in floors):
        assert int(node.sh(f"sysctl --values {name}")) >= int(wanted), name


def test_a_service_and_a_login_may_lock_memory(nodes):
    node = nodes["node2"]
    assert node.sh("systemd-run --quiet --pipe --wait sh -c 'ulimit -l'") == "unlimited"
    assert node.host.check_output("ulimit -l") == "unlimited"


def test_the_governor_is_left_alone_where_there_is_no_cpufreq(nodes):
    said = nodes["node2"].sh(
        "! test -e /sys/devices/system/cpu/cpufreq/policy0 && systemctl is-enabled nimctl-cpu-governor && "
        "systemctl show --property=ActiveState,ConditionResult nimctl-cpu-governor"
    )
    assert said.splitlines() == ["enabled", "ActiveState=inactive", "ConditionResult=no"]
