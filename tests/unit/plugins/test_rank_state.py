"""Starting and stopping ranks on the node."""

import functools

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import drain
from ansible_collections.nimctl.multinode.plugins.modules import rank_state

SHOWN = "Id=nim-{}.service\nLoadState={}\nActiveState=inactive\n"
UNITS = {"there-0-0": "loaded", "bare-0-0": "not-found"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_state, "Drains", functools.partial(drain.Drains, state=tmp_path))


@pytest.mark.parametrize(
    ("release", "started"), [(["node1"], ["there-0-0"]), ([], ["bare-0-0", "there-0-0"])]
)
def test_a_node_that_is_given_back_starts_what_is_deployed_there(run_module, release, started):
    def run(command):
        shown = "\n".join(SHOWN.format(name, state) for name, state in UNITS.items())
        return (0, shown if command[1] == "show" else "", "")

    result = run_module(
        rank_state,
        run,
        state="started",
        names=list(UNITS),
        cluster="c",
        found="",
        release=release,
        hold=[],
        holds={},
    )
    assert result["names"] == started
