"""The pages in a real browser, at the width of a phone and of a desktop."""

import math
import re
from itertools import pairwise

import pytest
import report_samples as samples
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from nimctl.plan.ask import Options, questions
from nimctl.plan.planner import plan as answer
from nimctl.report import bench, plan


def planned(*, explain=True, **options):
    """What nimctl plan answers now, in the place of a sample."""
    [question] = questions(Options(**options)).questions
    return answer(question, explain)


PAGES = {
    "fits": (plan.page, samples.plan_that_fits),
    "does not fit": (plan.page, samples.plan_that_does_not_fit),
    "many nodes": (plan.page, samples.plan_of_many),
    "two": (lambda two: plan.page(*two.plans), samples.Two),
    "planned on two nodes": (
        plan.page,
        lambda: planned(model="deepseek-r1", gpu="h100-sxm", nodes=2, fabric="all", ttft=2000.0, tpot=50.0),
    ),
    "planned on one node": (
        plan.page,
        lambda: planned(model="deepseek-r1", gpu="h200-sxm", isl=8192, concurrency=64, goal="throughput"),
    ),
    "planned and too small": (plan.page, lambda: planned(model="deepseek-r1", gpu="h100-sxm")),
    "sweep": (bench.page, samples.sweep),
    "one level": (bench.page, samples.sweep_of_one),
    "stopped": (bench.page, samples.sweep_of_nothing),
}
UNITS = {"ms": 1, "s": 1000, "GiB": 2**30, "GB": 1e9, "%": 0.01, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, (page, sample) in PAGES.items():
        answer = sample()
        file = folder / f"{name.replace(' ', '-')}.html"
        file.write_text(page(answer), encoding="utf-8")
        found[name] = (file, answer.as_json())
    return found


def at(content, path):
    for part in path.split("."):
        content = content[int(part)] if isinstance(content, list | tuple) else content[part]
    return content


def amount(text):
    """A number with its unit as it stands on the page, in the unit of the JSON."""
    match = re.fullmatch(r"(-?)\$?([\d,.]+) ?(ms|s|GiB|GB|%|k|M|B|T)?(?: tokens| GPUs)?", text)
    assert match, f"{text!r} is no number"
    sign, digits, unit = match.groups()
    return float(digits.replace(",", "")) * UNITS.get(unit, 1) * (-1 if sign else 1)


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_a_person_needs_it(made, browser, name, width):
    file, content = made[name]
    browser.open(file, width)
    seen = browser.look()
    assert seen["scroll"] <= seen["wide"], "a page must not scroll sideways"
    assert seen["outside"] == []
    assert seen["overlaps"] == []
    assert seen["faint"] == [], "contrast of at least 4.5"
    assert seen["unnamed"] == []
    assert seen["doubled"] == []
    assert seen["headings"][0] == 1
    assert seen["figures"] or name == "stopped"
    assert all(after - before <= 1 for before, after in pairwise(seen["headings"]))
    for chart in seen["charts"]:
        assert chart["drawings"] == 1
        assert chart["small"] >= 11, "text in a chart is too small to read"
    for figure in seen["figures"]:
        assert figure["seen"], figure
        value = float(at(content, figure["path"]))
        assert amount(figure["text"]) == pytest.approx(value, rel=0.006, abs=0.006), figure
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.mark.parametrize("name", ["fits", "sweep"])
def test_a_dark_page_can_be_read_too(made, browser, name):
    browser.open(made[name][0], "desktop", dark=True)
    background = browser.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(14, 18, 17)"
    assert browser.look()["faint"] == []


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("name", ["fits", "sweep"])
def test_details_open_by_keyboard_and_still_fit(made, browser, name, width):
    browser.open(made[name][0], width)
    summaries = browser.driver.find_elements(By.TAG_NAME, "summary")
    assert summaries
    for summary in summaries:
        summary.send_keys(Keys.ENTER)
    opened = browser.driver.execute_script("return document.querySelectorAll('details[open]').length")
    assert opened == len(summaries)
    seen = browser.look()
    assert seen["scroll"] <= seen["wide"]
    assert (seen["outside"], seen["overlaps"]) == ([], [])


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_a_plan_answers_first(made, browser, width):
    browser.open(made["fits"][0], width)
    text = browser.look()["text"]
    assert text.index("It fits: TP8 \N{MULTIPLICATION SIGN} PP2 in FP8") < 200
    assert text.index("24.9 ms") < text.index("Memory of each GPU") < text.index("What else could be done")
    for said in (
        "layers 0 to 30",
        "layers 31 to 60",
        "viable",
        "break-even 35 B",
        "asked for: 32",
        "limit 50 ms",
    ):
        assert said in text


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("name", ["fits", "does not fit", "many nodes"])
def test_bars_are_as_long_as_the_memory_they_stand_for(made, browser, name, width):
    file, content = made[name]
    browser.open(file, width)
    bars = browser.look()["bars"]
    stages = content["memory"]["stages"]
    assert len(bars) == (1 if name == "many nodes" else len(stages)), "alike stages share a bar"
    for bar, stage in zip(bars, stages, strict=False):
        parts = ("weights", "kv_cache", "activations", "overhead")
        whole = max(stage["capacity"], sum(stage[part] for part in parts))
        for part in parts:
            assert bar[part] == pytest.approx(stage[part] / whole, abs=0.012)
        assert bar.get("free", 0) == pytest.approx(max(0, stage["free"]) / whole, abs=0.012)


def test_several_plans_are_found_by_links(made, browser):
    browser.open(made["two"][0], "phone")
    links = browser.driver.find_elements(By.CSS_SELECTOR, "nav a")
    assert [link.text for link in links] == ["r1", "r1"]
    links[1].send_keys(Keys.ENTER)
    top = "return document.querySelector('#plan1').getBoundingClientRect().top"
    assert abs(browser.driver.execute_script(top)) < 2


def test_a_model_that_does_not_fit_says_how_much_is_missing(made, browser):
    browser.open(made["does not fit"][0], "desktop")
    text = browser.look()["text"]
    assert "It does not fit" in text
    assert "30.9 GB missing" in text
    assert "Latency against concurrency" not in text


def measure(chart):
    """The values of a chart's round marks, read off its axis as a person would."""
    ticks = [(tick["y"], amount(tick["text"])) for tick in chart["ticks"]]
    (low_y, low), (high_y, high) = ticks[0], ticks[-1]
    log = low > 0
    if log:
        low, high = math.log(low), math.log(high)
    values = [low + (mark["y"] - low_y) / (high_y - low_y) * (high - low) for mark in chart["marks"]]
    return [math.exp(value) for value in values] if log else values


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize(
    ("name", "title", "values"),
    [
        ("fits", "Time per output token", lambda it: [point["tpot_ms"] for point in it["curves"]["latency"]]),
        (
            "fits",
            "Time to the first token",
            lambda it: [point["ttft_ms"] for point in it["curves"]["latency"]],
        ),
        ("sweep", "Time per output token", lambda it: [level["tpot_ms"]["p50"] for level in it["levels"]]),
        ("sweep", "Time to the first token", lambda it: [level["ttft_ms"]["p50"] for level in it["levels"]]),
    ],
)
def test_points_stand_where_their_numbers_are(made, browser, name, title, values, width):
    file, content = made[name]
    browser.open(file, width)
    [chart] = [chart for chart in browser.look()["charts"] if chart["title"] == title]
    wanted = values(content)
    highest = max(wanted)
    assert measure(chart) == pytest.approx(wanted, rel=0.04, abs=0.012 * highest)


def test_the_legend_tells_lines_apart_without_colour(made, browser):
    browser.open(made["sweep"][0], "desktop")
    dashes = browser.driver.execute_script(
        "return [...document.querySelectorAll('.legend .swatch .line')]"
        ".map(line => getComputedStyle(line).strokeDasharray)"
    )
    assert dashes[0] == "none"
    assert dashes[1] != "none"
