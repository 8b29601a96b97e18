"""Node sets: ClusterShell's syntax, in the order in which it was written, and never more than fits."""

from __future__ import annotations

import time

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given
from hypothesis import strategies as st

from nimctl.description.nodeset import MAX_NAMES, NodeSetError, expand


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu01", ["gpu01"]),
        ("gpu[01-03]", ["gpu01", "gpu02", "gpu03"]),
        ("gpu[3,1,2]", ["gpu3", "gpu1", "gpu2"]),
        ("b, a", ["b", "a"]),
        ("gpu[08-11]", ["gpu08", "gpu09", "gpu10", "gpu11"]),
        ("gpu[1-7/3]", ["gpu1", "gpu4", "gpu7"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("10.2.[0-1].[1-2]", ["10.2.0.1", "10.2.0.2", "10.2.1.1", "10.2.1.2"]),
        ("fd00::[1-4]", ["fd00::1", "fd00::2", "fd00::3", "fd00::4"]),
        ("fd00::[8-11]", ["fd00::8", "fd00::9", "fd00::10", "fd00::11"]),
        ("n1,n1", ["n1", "n1"]),
        ("n[1-3],n2", ["n1", "n2", "n3", "n2"]),
        ("n[1-5]!n3", ["n1", "n2", "n4", "n5"]),
        ("n[1-5]!n[2-3],n2", ["n1", "n4", "n5", "n2"]),
        ("n[1-5]&n[4-9]", ["n4", "n5"]),
        ("n[1-3]^n[3-4]", ["n1", "n2", "n4"]),
        (
            "gpu[01-02].rack[1-2].example.com",
            [f"gpu0{n}.rack{r}.example.com" for n in (1, 2) for r in (1, 2)],
        ),
    ],
)
def test_expands_in_written_order(text, names):
    assert expand(text) == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a name is missing"),
        ("a,,b", "a name is missing"),
        ("a[1", "without a `]`"),
        ("a1]", "without a `[`"),
        ("a[[1]]", "a bracket inside a bracket"),
        ("a[]", "an empty range"),
        ("a[1-]", "is not a range"),
        ("a[x]", "is not a range"),
        ("a[1-2/0]", "not valid"),
        ("a[3-1]", "ends before it begins"),
        ("a[1-03]", "padded to different lengths"),
        ("@all", "`@` names a group"),
        ("a,@all", "`@` names a group"),
        ("[fd00::1]", "a colon in brackets"),
        ("a[1-99999999999999999999]", "is not a range"),
        (f"a[1-{MAX_NAMES + 1}]", "more than 20,000 names"),
        ("a[1-300][1-300]", "more than 20,000 names"),
        ("a[0-20000]!a[0-20000]", "more than 20,000 names"),
        ("[1]" * 9, "more than 8 brackets"),
    ],
)
def test_says_why_a_set_is_refused(text, why):
    with pytest.raises(NodeSetError, match=why.replace("[", r"\[")):
        expand(text)


@pytest.mark.parametrize(
    "text",
    [
        "gpu[1-999999999999999]",
        "gpu[1-1000][1-1000][1-1000]",
        "gpu[1-50000]" + "!gpu[1-50000]" * 5000,
        "gpu[1-50000]" + "&gpu[1-50000]" * 5000,
        "gpu[" + "1-50000," * 50_000 + "1]",
        "[1]" * 100_000,
        "[" * 400_000,
    ],
)
def test_hostile_sets_end_quickly(text):
    start = time.process_time()
    with pytest.raises(NodeSetError):
        expand(text)
    assert time.process_time() - start < 2


piece = st.one_of(
    st.from_regex(r"[a-c][0-9]{1,2}", fullmatch=True),
    st.builds(
        lambda name, low, more: f"{name}[{low:02d}-{low + more:02d}]",
        st.sampled_from("abc"),
        st.integers(0, 50),
        st.integers(0, 20),
    ),
)


@given(st.lists(piece, min_size=1, max_size=5))
def test_agrees_with_clustershell_but_for_order_and_repetition(pieces):
    text = ",".join(pieces)
    assert sorted(set(expand(text))) == sorted(set(NodeSet(text, resolver=RESOLVER_NOGROUP)))


@given(st.text(alphabet="ab019[]-,/!&^@: .", max_size=40))
def test_any_text_expands_or_is_refused(text):
    try:
        names = expand(text)
    except NodeSetError:
        return
    assert len(names) <= MAX_NAMES
    assert all(isinstance(name, str) for name in names)
