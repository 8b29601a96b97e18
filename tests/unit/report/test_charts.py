"""Scales, words and drawings, without a browser."""

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import report_samples as samples

from nimctl.report import bench, plan, words
from nimctl.report.chart import HALF, Axis, Chart, Rule, Series, draw
from nimctl.report.scale import Scale, linear_ticks, log_ticks, thinned, wide


def chart(points, **changes):
    values = {
        "title": "A & B", "summary": "x < y", "x": Axis("x", str), "y": Axis("y", str),
        "series": [Series("one", points, 1)],
    }  # fmt: skip
    return Chart(**(values | changes))


@pytest.mark.parametrize(
    ("high", "ticks"),
    [(58, [0, 20, 40, 60]), (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, [0, 1]), (100, [0, 20, 40, 60, 80, 100])],
)
def test_linear_ticks_are_round_and_reach_the_highest(high, ticks):
    assert linear_ticks(high, 5) == ticks


@pytest.mark.parametrize(("low", "high"), [(3, 5), (0.02, 7), (110, 5800), (1, 1), (1e3, 1e12), (9.9, 10.1)])
def test_log_ticks_enclose_the_values(low, high):
    ticks = log_ticks(low, high, 6)
    assert ticks[0] <= low * 1.001
    assert ticks[-1] >= high * 0.999
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(ticks)


def test_thinned_keeps_the_last():
    assert thinned([1, 2, 4, 8, 16, 32], 3) == [2, 8, 32]
    assert thinned([1, 2], 5) == [1, 2]


def test_scales():
    assert Scale(0, 10, 100, 200, False).at(2.5) == 125
    assert Scale(1, 100, 0, 100, True).at(10) == 50
    assert Scale(0, 10, 0, 100, False).at(11) == 100, "beyond is drawn at the edge"
    assert wide([1, 30])
    assert not wide([1, 20])
    assert not wide([0])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.number(0), "0"), (words.number(1234.5), "1,234"), (words.number(24.88), "24.9"),
        (words.number(9.104), "9.1"), (words.number(0.014), "0.014"), (words.number(100), "100"),
        (words.number(0.644245), "0.644"),
        (words.milliseconds(9999), "9,999 ms"), (words.milliseconds(12_345), "12.3 s"),
        (words.gigabytes(1.342e12), "1,342 GB"),
        (words.dollars(1.98), "$1.98"), (words.dollars(46720), "$46,720"), (words.dollars(2.5e6), "$2.5M"),
        (words.dollars(-3), "-$3.00"), (words.count(1.77e10), "17.7 B"), (words.count(9000), "9,000"),
        (words.count(35_000), "35 k"), (words.percent(0.004), "0.4 %"), (words.whole(163840), "163,840"),
    ],
)  # fmt: skip
def test_numbers_for_people(said, expected):
    assert said == expected


def test_a_drawing_is_valid_and_tells_what_it_shows():
    drawn = draw(chart([(1, 2), (2, 9)], rules=[Rule("y", 5, "<limit>")]), HALF[0], "c")
    tree = ElementTree.fromstring(drawn)
    assert tree.get("role") == "img"
    assert tree.get("aria-labelledby") == "c-title c-desc"
    texts = [node.text for node in tree.iter()]
    assert "A & B" in texts
    assert "x < y" in texts
    assert "<limit>" in texts


def test_a_band_reaches_from_low_to_high():
    series = Series("one", [(0, 5), (10, 5)], 1, "none", [(0, 0, 10), (10, 0, 10)])
    drawn = draw(chart([], series=[series]), HALF[0], "c")
    [d] = re.findall(r'<path d="([^"]*)" class="band', drawn)
    heights = [float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", d)]
    ticks = [float(y) for y in re.findall(r'<line x1="[^"]*" y1="([^"]*)"[^>]*class="grid"', drawn)]
    assert (max(heights), min(heights)) == (max(ticks), min(ticks))


def test_a_step_is_drawn_as_a_staircase():
    series = Series("own", [(1, 10), (2, 10), (3, 20)], 1, "none", step=True)
    drawn = draw(chart([], series=[series]), HALF[0], "c")
    [d] = re.findall(r'<path d="([^"]*)" class="line', drawn)
    places = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", d)]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(places))


class Tags(HTMLParser):
    """Makes sure that tags are closed in order, and keeps what the page would fetch or run."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.fetched = []
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "text",
    [
        lambda: plan.page(samples.plan_that_fits()),
        lambda: plan.page(samples.plan_that_does_not_fit()),
        lambda: plan.page(samples.plan_of_many()),
        lambda: bench.page(samples.sweep()),
        lambda: bench.page(samples.sweep_of_one()),
        lambda: bench.page(samples.sweep_of_nothing()),
    ],
)
def test_a_page_is_complete_in_itself(text):
    page = text()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.fetched == ["data:,"]
    assert "script" not in tags.tags
    assert "url(" not in page
    assert "@import" not in page


def test_texts_are_escaped():
    from dataclasses import replace

    nasty = replace(samples.plan_that_fits(), summary="<script>alert(1)</script>", deployment="a&b")
    page = plan.page(nasty)
    assert "<script>" not in page
    assert "a&amp;b" in page


def test_alike_stages_share_a_bar():
    [bar] = plan.bars(samples.plan_of_many())
    assert bar.same == 16
    assert len(plan.bars(samples.plan_that_fits())) == 2
    assert plan.stages(samples.plan_of_many()) == "16 stages of 4"
    assert plan.stages(samples.plan_that_fits()) == "31 / 30"
    over = plan.bars(samples.plan_that_does_not_fit())[0]
    assert over.limit == pytest.approx(100 * 79.2 / (83.2 + 17.7 + 2.5 + 4.6), abs=0.01)
