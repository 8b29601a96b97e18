"""Which ports of a node are for its cluster alone."""

import pytest

from nimctl.description.document import Firewall
from nimctl.stack.host import Host
from nimctl.stack.layers import firewall
from nimctl.stack.plan import Question

LEADER = {"rank": 0, "ports": {"api": 8000, "rendezvous": 29500}, "api_port": 8000, "command": ["serve"]}
NODES = {"a": ["10.0.0.1", "10.1.0.1"], "b": ["10.0.0.2"]}


def plan(*ranks, addresses=None, here=None, rules=(), **settings):
    context = {"ranks": list(ranks), "addresses": addresses or NODES, "cluster": "prod", "rules": list(rules)}
    return firewall.plan(Question(Host(firewall=here or {}), Firewall(**settings), context=context))


def test_every_address_of_every_node_is_inside_and_what_is_trusted_as_well():
    values = plan(LEADER, trusted=["10.2.0.0/16"]).values
    assert values["inside"] == ["10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.0/16"]


def test_ports_of_ranks_are_closed_and_those_of_the_api_are_not():
    values = plan(LEADER).values
    assert (values["closed"], values["api"]) == (["29500"], ["8000"])
    assert values["random"] == ["32768-60999"]


def test_what_a_worker_may_not_serve_is_no_api():
    values = plan({"rank": 1, "ports": {"rendezvous": 29500}, "api_port": 8000, "command": []}).values
    assert values["api"] == []


@pytest.mark.parametrize(
    "rank",
    [
        {**LEADER, "ports": {"api": 8000, "ray": 6379}},
        {"rank": 1, "ports": {}, "api_port": 8000, "command": ["nim-serve-ray", "--head-address", "x"]},
    ],
)
def test_the_ports_of_rays_workers_are_closed_with_ray_alone(rank):
    assert firewall.RAY_WORKERS in plan(rank).values["random"]
    assert firewall.RAY_WORKERS not in plan(LEADER).values["random"]


def test_a_node_without_ranks_has_no_table():
    assert plan().values == {"steps": "remove"}
    assert plan(mode="verify").values == {"steps": "ignore"}


@pytest.mark.parametrize("mode", ["managed", "verify"])
def test_the_mode_says_what_is_done(mode):
    assert plan(LEADER, mode=mode).values["steps"] == mode
    assert plan(LEADER, mode="ignore").values == {"steps": "ignore"}


def test_an_api_that_answers_everybody_is_said():
    assert plan(LEADER).notes
    assert not plan(LEADER, api_allow=["10.9.0.0/16"]).notes


def test_the_wait_is_in_seconds():
    assert plan(LEADER, confirm="2m").values["confirm"] == 120


def test_rules_are_a_change_until_they_are_there():
    assert plan(LEADER).will == ("close ports 29500, 32768-60999 to all but the cluster",)
    here = {"prod": plan(LEADER).values["mark"], "other": "0"}
    assert plan(LEADER, here=here).will == ()
    assert plan(LEADER, here=here, confirm="2m").will == ()
    assert plan(LEADER, here={"other": here["prod"]}).will != ()
    assert plan(LEADER, here={"prod": "0"}, mode="verify").will == ()


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": {**NODES, "c": ["10.0.0.3"]}},
        {"api_allow": ["10.9.0.0/16"]},
        {"rules": ["tcp dport 9100 accept"]},
        {"open": ["50051-50051"]},
    ],
)
def test_whatever_changes_the_rules_is_a_change(change):
    here = {"prod": plan(LEADER).values["mark"]}
    (will,) = plan(LEADER, here=here, **change).will
    assert will.startswith("load other firewall rules")
