"""Waiting for a rank: where its health is asked for."""

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.http import url_of
from ansible_collections.nimctl.multinode.plugins.modules import rank_health

SHOWN = (
    "Id=x\nLoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n"
    "ActiveEnterTimestampMonotonic=1\n"
)
RANK = {
    "name": "a-0-0",
    "deployment": "a",
    "nodes": 2,
    "health": {"path": "/ready", "port": 8000, "deadline": 60},
}


def wait(run_module, monkeypatch, rank, serving):
    asked = []

    def ask(url, timeout):
        asked.append(url)
        return (200, "") if url == serving else (0, "connection refused")

    monkeypatch.setattr(rank_health, "ask", ask)
    result = run_module(
        rank_health, lambda command: (0, SHOWN, ""), ranks=[rank], settle=0, least=0, undefined="failed"
    )
    return result, asked


@pytest.mark.parametrize(
    ("address", "serving"),
    [
        ("10.0.0.1", "http://127.0.0.1:8000/ready"),
        ("10.0.0.1", "http://10.0.0.1:8000/ready"),
        ("fd00::1", "http://[fd00::1]:8000/ready"),
    ],
)
def test_an_engine_may_listen_on_this_machine_or_on_its_address_alone(
    run_module, monkeypatch, address, serving
):
    result, asked = wait(run_module, monkeypatch, {**RANK, "address": address}, serving)
    assert list(result["ready"]) == ["a-0-0"]
    assert asked[-1] == serving


def test_a_rank_that_is_too_late_is_named_with_what_to_run(run_module, monkeypatch):
    result, _ = wait(run_module, monkeypatch, {**RANK, "address": "fd00::1"}, "nowhere")
    assert result["failed"]
    assert "was not ready within 60 s" in result["msg"]
    assert "nimctl logs -i DIR a" in result["msg"]


@pytest.mark.parametrize(("undefined", "fails"), [("failed", True), ("passed", False)])
def test_a_rank_that_is_not_deployed_yet_is_passed_over_where_a_bare_node_is_given_back(
    run_module, undefined, fails
):
    shown = SHOWN.replace("active", "inactive") + "LoadState=not-found\n"
    result = run_module(
        rank_health, lambda command: (0, shown, ""), ranks=[RANK], settle=0, least=0, undefined=undefined
    )
    assert (result["failed"], result.get("ready")) == ((True, None) if fails else (False, {}))


def test_ipv6_stands_in_brackets():
    assert url_of("fd00::1", 1, "/x") == "http://[fd00::1]:1/x"
