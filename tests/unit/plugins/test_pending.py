from ansible_collections.nimctl.multinode.plugins.action.pending import UNREACHED, collect


def test_each_line_has_its_node_and_stands_there_once():
    hostvars = {
        "node1": {"service": {"pending": ["a restart"]}, "ranks": {"pending": ["a restart"]}},
        "node2": {"service": {"pending": []}},
        "node3": {},
        "node4": {"ranks": {"unreachable": True}},
    }
    found = collect(["node1", "node2", "node3", "node4"], hostvars, ["service", "ranks"])
    assert found == ["node1: a restart", f"node4: {UNREACHED}"]
