"""`nimctl bench` against the engine itself."""

import pytest

from nimctl.bench import sweep
from nimctl.bench.client import Dialect
from nimctl.bench.result import Limits


class Quiet:
    def begin(self, concurrency, requests, *, warmup): ...
    def answered(self, sample): ...
    def end(self, level): ...


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_lengths_are_as_asked_for(single, kind):
    order = sweep.Order(
        url=f"http://127.0.0.1:{single.port}",
        api=kind,
        model="",
        levels=(3,),
        isl=200,
        osl=12,
        requests=6,
        warmup=1,
        level_seconds=None,
        timeout=60.0,
        limits=Limits(),
        dialect=Dialect(),
    )
    swept = sweep.run(order, None, Quiet())
    [level] = swept.levels
    assert (swept.model, level.completed, level.errors) == ("tiny", 6, {})
    assert level.isl == pytest.approx(200, rel=0.06)
    assert level.osl == 12
    assert level.tpot_ms.count == 6
