import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.jsonmerge import (
    ConflictError,
    changed_keys,
    merge,
    together,
    without,
)
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b"]))
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3, unique_by=repr)),
    lambda inner: st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES, max_size=3)


def put(existing, values, defaults=(), record=None):
    return merge(existing, values, list(defaults), record or {})


def test_keys_of_others_stay():
    result, _ = put({"data-root": "/big", "features": {"buildkit": True}}, {"features": {"cdi": True}})
    assert result == {"data-root": "/big", "features": {"buildkit": True, "cdi": True}}


def test_items_are_added_to_lists():
    result, record = put({"insecure-registries": ["a:1"]}, {"insecure-registries": ["a:1", "b:2"]})
    assert result == {"insecure-registries": ["a:1", "b:2"]}
    assert without(result, record) == {"insecure-registries": ["a:1"]}


def test_a_list_that_was_empty_is_empty_again():
    result, record = put({"insecure-registries": []}, {"insecure-registries": ["b:2"]})
    assert without(result, record) == {"insecure-registries": []}


def test_a_default_gives_way_to_others_as_a_whole():
    logs = {"log-driver": "json-file", "log-opts": {"max-size": "100m"}}
    assert put({"log-driver": "journald"}, {}, [logs])[0] == {"log-driver": "journald"}
    assert put({}, {}, [logs])[0] == logs


def test_a_value_wins_over_a_default():
    assert put({}, {"live-restore": False}, [{"live-restore": True}])[0] == {"live-restore": False}


def test_the_second_time_nothing_changes():
    first, record = put({"debug": True}, {"debug": False, "a": {"b": [1]}}, [{"live-restore": True}])
    again, same = put(first, {"debug": False, "a": {"b": [1]}}, [{"live-restore": True}], record)
    assert (again, same) == (first, record)


def test_a_value_that_is_no_longer_wanted_gives_the_former_one_back():
    first, record = put({"debug": True}, {"debug": False, "a": {"b": 1}})
    assert put(first, {}, (), record) == ({"debug": True}, {})


def test_what_others_changed_since_is_set_again_and_theirs_in_the_end():
    _, record = put({}, {"debug": False})
    repaired, record = put({"debug": True}, {"debug": False}, (), record)
    assert repaired == {"debug": False}
    assert without(repaired, record) == {"debug": True}


def test_something_that_is_no_object_is_not_replaced():
    with pytest.raises(ConflictError, match="features"):
        put({"features": "yes"}, {"features": {"cdi": True}})


def test_changed_keys_are_the_top_ones():
    assert changed_keys({"a": 1, "b": {"c": 1}}, {"b": {"c": 2}, "d": 1}) == ["a", "b", "d"]


@given(DOCUMENTS, DOCUMENTS, st.lists(DOCUMENTS, max_size=2))
def test_taking_out_gives_the_original_back(existing, values, defaults):
    try:
        result, record = put(existing, values, defaults)
    except ConflictError:
        return
    assert without(result, record) == existing


@given(DOCUMENTS, DOCUMENTS, st.lists(DOCUMENTS, max_size=2))
def test_merging_again_changes_nothing(existing, values, defaults):
    try:
        result, record = put(existing, values, defaults)
    except ConflictError:
        return
    assert put(result, values, defaults, record) == (result, record)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_a_record_of_both_gives_back_what_was_there_whether_or_not_the_document_was_written(
    document, first, second
):
    try:
        former, ours = put(document, first)
        coming, both = put(former, second, record=ours)
    except ConflictError:
        return
    record = together(ours, both)
    assert without(former, record) == document
    assert without(coming, record) == document
