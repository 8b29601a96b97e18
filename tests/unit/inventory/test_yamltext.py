"""Our YAML writer against PyYAML's reader."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nimctl.yamltext import write

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "yes",
        "No",
        "null",
        "~",
        "1",
        "0x1f",
        "1e3",
        "12:30",
        "a: b",
        "a #b",
        "- x",
        "=ib0",
        "{a}",
        "",
        " a",
        "a ",
        "!x",
        "&x",
    ]
)
scalars = texts | st.integers() | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(texts, values, max_size=5))
def test_it_is_read_back_unchanged(data: dict[str, object]) -> None:
    assert yaml.safe_load(write(data)) == data


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        write({"a": object()})


def test_it_reads_like_yaml_by_hand() -> None:
    data = {
        "name": "r1",
        "gpus": [0, 1],
        "words": ["=ib0", "8"],
        "none": {},
        "list": [{"a": 1, "b": {"c": True}}],
    }
    assert write(data) == (
        'name: r1\ngpus: [0, 1]\nwords:\n  - "=ib0"\n  - "8"\nnone: {}\n'
        "list:\n  - a: 1\n    b:\n      c: true\n"
    )
