"""The forms of single words: images, durations, addresses, host names."""

from __future__ import annotations

import pytest

from nimctl import image
from nimctl.description import syntax
from nimctl.description.syntax import WordError

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "library/ubuntu:24.04",
        "vllm/vllm-openai:v0.11.0",
        "nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3",
        "registry.lab:5000/rehearsal:1",
        "localhost/a__b:T",
        f"r:5000/a@{DIGEST}",
        f"r:5000/a/b:1@{DIGEST}",
        "[fd00::1]:5000/a:1",
        "10.0.0.1/a:1",
    ],
)
def test_images(text):
    syntax.check_image(text)
    assert str(image.parse(text)).endswith(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "A",
        "a:b:c",
        "a:",
        "a@",
        "a@sha256:abc",
        f"a@{DIGEST}0",
        f"a@{DIGEST.upper()}",
        "a b",
        "https://r/a",
        "docker://a",
        "r:99999/a",
        "r:x/a",
        "-a",
        "a-",
        "a/.b",
        "a:-b",
        "a\n",
        "r_.io/a",
        "me:pw@r.io/a",
        "a:" + "t" * 129,
        "a" * 300,
    ],
)
def test_malformed_images(text):
    with pytest.raises(WordError):
        syntax.check_image(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1h1s", 3601)]
)
def test_durations(text, seconds):
    assert syntax.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "45", "m", "0s", "1d", "30m1h", "-1s", "1.5h", "169h", "1 h", "90S", "999999999s"]
)
def test_malformed_durations(text):
    with pytest.raises(WordError):
        syntax.parse_duration(text)


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "fd00::1", "gpu01", "gpu01.rack1.example.com", "GPU-1", "1a", "fe80::1"]
)
def test_addresses(text):
    syntax.check_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.256",
        "10.0.0",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "fe80::1%eth0",
        "10.0.0.1:22",
        "a_b",
        "a b",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "fd00:::1",
        "a/b",
        "12",
        "a" * 64,
        "a." * 130 + "a",
        "all",
        "ungrouped",
    ],
)
def test_malformed_addresses(text):
    with pytest.raises(WordError):
        syntax.check_address(text)


def test_one_spelling_for_each_address():
    assert syntax.same_address("fd00:0:0::1") == syntax.same_address("FD00::1")
    assert syntax.same_address("GPU01") == syntax.same_address("gpu01")
    assert syntax.same_address("10.0.0.1") != syntax.same_address("10.0.0.11")
