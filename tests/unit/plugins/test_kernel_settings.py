import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_settings import (
    Change,
    Kernel,
    compare,
    settle,
)

pytestmark = pytest.mark.usefixtures("ours")


class Node:
    """A root with settings, and one owner on it."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.state = folder / "state"
        self.file = self.root / "etc/sysctl.d/99-nimctl-tuning.conf"
        self.kernel = Kernel(self.root)
        self.live(**{"vm/max_map_count": 65530, "vm/zone_reclaim_mode": 1, "net/core/somaxconn": 4096})

    def live(self, **values):
        for path, value in values.items():
            target = self.root / "proc/sys" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(f"{value}\n")

    def site(self, name, text, folder="etc"):
        target = self.root / folder / "sysctl.d" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def have(self, floors=(), values=(), optional=(), contained="", check=False):
        record = Record("tuning", "sysctls", self.state)
        change = compare(
            self.kernel,
            file=str(self.file),
            floors=dict(floors),
            values=dict(values),
            optional=frozenset(optional),
            former=record.content.get("former", {}),
            contained=contained,
        )
        done = settle(self.kernel, str(self.file), change, record, "tuning", check)
        return change, done

    def remove(self):
        return settle(
            self.kernel, str(self.file), Change(), Record("tuning", "sysctls", self.state), "tuning", False
        )

    def lines(self):
        return self.file.read_text().splitlines()[1:] if self.file.exists() else []


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


FLOOR = {"vm.max_map_count": 1048576}


def test_a_floor_raises_a_lower_value_and_the_second_run_finds_it(node):
    _, done = node.have(FLOOR, check=True)
    assert done.after == {"vm.max_map_count": "1048576"}
    assert node.kernel.get("vm.max_map_count") == "65530"
    assert node.lines() == []
    node.have(FLOOR)
    assert node.kernel.get("vm.max_map_count") == "1048576"
    assert node.lines() == ["vm.max_map_count = 1048576"]
    _, done = node.have(FLOOR)
    assert not done.after
    assert not done.files.changed


def test_a_floor_leaves_a_higher_value_alone(node):
    node.live(**{"vm/max_map_count": 2000000})
    _, done = node.have(FLOOR)
    assert not done.after
    assert node.lines() == []


def test_a_floor_never_lowers_what_the_site_sets_for_the_boot(node):
    node.site("10-site.conf", "vm.max_map_count = 2000000\n")
    _, done = node.have(FLOOR)
    assert done.after == {"vm.max_map_count": "2000000"}
    assert node.lines() == []


def test_a_floor_leaves_our_file_once_the_site_sets_more(node):
    node.have(FLOOR)
    node.site("10-site.conf", "vm/max_map_count = 2000000\n")
    node.live(**{"vm/max_map_count": 2000000})
    _, done = node.have(FLOOR)
    assert not done.after
    assert node.lines() == []


def test_a_file_of_the_site_that_takes_it_back_is_named(node):
    node.site("99-zz.conf", "vm.max_map_count = 65530\n")
    change, _ = node.have(FLOOR)
    assert "99-zz.conf sets vm.max_map_count = 65530 after" in change.overridden[0]


def test_a_file_hides_those_of_its_name_in_later_folders(node):
    node.site("50-a.conf", "vm.max_map_count = 2000000\n", "usr/lib")
    node.site("50-a.conf", "# nothing\n")
    node.have(FLOOR)
    assert node.lines() == ["vm.max_map_count = 1048576"]


def test_removal_gives_former_values_back(node):
    node.have(FLOOR, {"vm.zone_reclaim_mode": "0"})
    assert node.kernel.get("vm.zone_reclaim_mode") == "0"
    done = node.remove()
    assert done.after == {"vm.max_map_count": "65530", "vm.zone_reclaim_mode": "1"}
    assert node.kernel.get("vm.max_map_count") == "65530"
    assert not node.file.exists()
    assert not list(node.state.rglob("*.json"))


def test_a_setting_that_is_no_longer_wanted_gets_its_former_value_back(node):
    node.have(FLOOR, {"vm.zone_reclaim_mode": "0"})
    _, done = node.have(FLOOR)
    assert done.after == {"vm.zone_reclaim_mode": "1"}
    assert node.lines() == ["vm.max_map_count = 1048576"]


def test_what_somebody_changed_since_is_not_given_back(node):
    node.have(FLOOR)
    node.live(**{"vm/max_map_count": 3000000})
    node.have(FLOOR)
    assert not node.remove().after
    assert node.kernel.get("vm.max_map_count") == "3000000"


def test_an_interrupted_run_forgets_no_former_value(node, monkeypatch):
    def fail(*arguments):
        raise NodeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "set", fail)
        with pytest.raises(NodeError):
            node.have(FLOOR)
    node.have(FLOOR)
    assert node.remove().after == {"vm.max_map_count": "65530"}


def test_a_container_changes_only_what_is_its_own(node):
    change, done = node.have({**FLOOR, "net.core.somaxconn": 65535}, contained="podman")
    assert done.after == {"net.core.somaxconn": "65535"}
    assert node.lines() == ["net.core.somaxconn = 65535"]
    assert change.not_here == ["vm.max_map_count is a setting of the kernel below this container (podman)."]


def test_a_setting_that_does_not_exist_is_an_error_unless_it_is_optional(node):
    with pytest.raises(NodeError, match=r"no setting vm\.max_map_cuont"):
        node.have({"vm.max_map_cuont": 1})
    change, done = node.have({}, {"kernel.numa_balancing": "0"}, ["kernel.numa_balancing"])
    assert change.not_here == ["kernel.numa_balancing: this kernel has no such setting."]
    assert not done.after


def test_a_floor_needs_one_number(node):
    node.live(**{"net/ipv4/tcp_rmem": "4096\t131072\t6291456"})
    with pytest.raises(NodeError, match="not one number"):
        node.have({"net.ipv4.tcp_rmem": 1})
    _, done = node.have({}, {"net.ipv4.tcp_rmem": "4096  131072 6291456"})
    assert not done.after


def test_a_floor_and_a_value_for_one_setting_contradict(node):
    with pytest.raises(NodeError, match=r"vm\.max_map_count"):
        node.have(FLOOR, {"vm.max_map_count": "1"})


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.conf.all.rp_filter", "net/ipv4/conf/all/rp_filter"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
    ],
)
def test_names_with_dots_and_slashes(node, key, path):
    assert node.kernel.path(key) == node.root / "proc/sys" / path
