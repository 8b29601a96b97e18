import json
import shlex
import textwrap

import pytest

from nimctl.errors import RejectedError
from nimctl.run.target import host, load


def test_an_endpoint_per_replica_in_the_order_of_the_description(target):
    found = [(end.deployment, end.replica, end.node, end.url, end.model) for end in target.endpoints()]
    assert found == [
        ("tiny", 0, "node1", "http://10.89.72.11:8000", "tiny-model"),
        ("solo", 0, "node3", "http://10.89.72.13:8100", "solo-name"),
    ]


def test_the_curl_line_survives_a_shell(target):
    words = shlex.split(target.endpoints()[0].curl("it's me"))
    assert words[0] == "curl"
    assert words[1] == "http://10.89.72.11:8000/v1/chat/completions"
    body = json.loads(words[-1])
    assert body["model"] == "tiny-model"
    assert body["messages"][0]["content"] == "it's me"


def test_an_unknown_deployment_names_the_likely_one(target):
    with pytest.raises(RejectedError, match=r"no deployment tinny.*did you mean tiny"):
        target.ranks("tinny")


def test_an_unknown_rank_names_the_likely_one(target):
    with pytest.raises(RejectedError, match="did you mean tiny-0-1"):
        target.ranks("tiny", "tiny-0-l")


def test_a_rank_is_found_by_name(target):
    assert [rank.node for rank in target.ranks(rank="tiny-0-1")] == ["node2"]


@pytest.mark.parametrize(
    ("limit", "nodes"),
    [
        ("node[1-2]", ["node1", "node2"]),
        ("node3", ["node3"]),
        ("nim_leaders", None),
        (None, None),
        ("node9", None),
    ],
)
def test_a_limit_is_understood_where_it_is_a_node_set(target, limit, nodes):
    assert target.limited(limit) == nodes


def test_ipv6_stands_in_brackets():
    assert host("fd00::1") == "[fd00::1]"
    assert host("gpu01") == "gpu01"


def test_endpoint_of_an_ipv6_node(tmp_path):
    (tmp_path / "cluster.yml").write_text(
        textwrap.dedent("""
            plugin: nimctl.multinode.cluster
            name: six
            nodes: [{hosts: a1, addresses: "fd00::1", gpu: {count: 0}}]
            deployments: [{name: d, model: m, engine: rehearsal, image: "r:5000/rehearsal:1", hosts: a1}]
        """)
    )
    assert load(tmp_path).endpoints()[0].url == "http://[fd00::1]:8000"
