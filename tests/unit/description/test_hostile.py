"""Files that were made to hurt: each ends quickly, in problems, and in nothing else."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nimctl.description import examine

HEAD = "plugin: nimctl.multinode.cluster\nname: x\n"
NODES = "nodes:\n  - {hosts: n1, gpu: {count: 0}}\n"
ENTRY = "  - {{name: a{}, model: a, engine: vllm, image: a, hosts: '{}'}}\n"

HOSTILE = {
    "deep flow": "[" * 200_000,
    "deep block": "- " * 200_000,
    "deep mappings": "".join(" " * depth + "a:\n" for depth in range(2000)),
    "deep keys": "? " * 100_000,
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
    ),
    "alias of itself": "a: &a [*a]\n",
    "entries by alias": HEAD + "nodes:\n  - &n {hosts: n1, gpu: {count: 0}}\n" + "  - *n\n" * 200_000,
    "merge bomb": f"b: &b {{{','.join(f'k{i}: 1' for i in range(5000))}}}\n"
    + "".join(f"m{i}: {{<<: *b}}\n" for i in range(5000)),
    "anchors": "".join(f"- &a{i} x\n" for i in range(100_000)),
    "huge range": HEAD + "nodes:\n  - {hosts: 'n[1-999999999999]', gpu: {count: 0}}\n",
    "huge product": HEAD + "nodes:\n  - {hosts: 'n[1-999][1-999][1-999]', gpu: {count: 0}}\n",
    "many huge ranges": HEAD
    + "nodes:\n"
    + "".join(f"  - {{hosts: 'n{i}-[1-50000]', gpu: {{count: 0}}}}\n" for i in range(5000)),
    "range upon range": HEAD + "nodes:\n  - {hosts: '" + "n[1-20000]," * 30_000 + "x', gpu: {count: 0}}\n",
    "deployments everywhere": HEAD
    + "nodes:\n  - {hosts: 'n[1-20000]', gpu: {count: 0}}\ndeployments:\n"
    + "".join(ENTRY.format(i, "n[1-20000]") for i in range(2000)),
    "values": "[" + "1," * 1_000_000 + "1]",
    "entries of a wrong kind": HEAD + "nodes: [" + "1," * 200_000 + "1]\n",
    "unknown keys": HEAD + NODES + "".join(f"k{i}: 1\n" for i in range(100_000)),
    "templates": HEAD + NODES + "x: [" + ",".join(f'"{{{{{i}"' for i in range(100_000)) + "]\n",
    "one key many times": "a: 1\n" * 200_000,
    "tabs": "\tplugin: x\n" * 200_000,
    "long number": HEAD + "nodes: " + "9" * 400_000 + "\n",
    "long key": HEAD + "k" * 400_000 + ": 1\n",
    "long image": HEAD
    + NODES
    + "deployments:\n  - {name: a, model: a, engine: vllm, image: '"
    + "a-" * 200_000
    + "!'}\n",
    "long host": HEAD + "nodes:\n  - {hosts: '" + "a." * 200_000 + "!', gpu: {count: 0}}\n",
    "almost a password": HEAD + NODES + "x: '" + "//a:" * 100_000 + "'\n",
    "colons": ":" * 1_000_000,
    "stars": "*" * 100_000,
    "noise": bytes(range(256)) * 1000,
    "UTF-16": "plugin: x\n".encode("utf-16"),
    "too big": b"a" * 20_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_end_quickly_in_problems(written, text):
    folder = written(text)
    start = time.process_time()
    examined = examine(folder)
    assert examined.problems
    assert time.process_time() - start < 2
    assert len(examined.problems) <= 1600
    for problem in examined.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert len(problem.message) < 700


def test_a_file_that_would_never_end_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "cluster.yml")
    assert "is not a file" in examine(tmp_path).problems[0].message
    (tmp_path / "cluster.yml").unlink()
    (tmp_path / "cluster.yml").symlink_to("/dev/zero")
    assert "is not a file" in examine(tmp_path).problems[0].message


KEYS = """
plugin name nodes hosts gpu count model fabric kind rate addresses storage mount deployments engine image env
args secrets parallel tensor gpus replicas port timeouts start stack container_engine registries
"""
WORDS = st.sampled_from(KEYS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["gpu[1-4]", "n1", "nimctl.multinode.cluster", "h100-sxm", "nfs", "vllm", "a:1", "45m", "{{ x }}"]
    ),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=8)),
    max_leaves=40,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(text=st.text(max_size=300))
def test_any_text_is_examined_without_an_exception(written, text):
    examined = examine(written(text.encode("utf-8", "surrogatepass")))
    assert examined.problems


@QUICK
@given(document=st.dictionaries(WORDS, DOCUMENTS, max_size=8))
def test_any_document_is_examined_without_an_exception(written, document):
    import yaml

    examined = examine(written(yaml.safe_dump(document, allow_unicode=True)))
    for problem in examined.problems:
        assert problem.line >= 1


@QUICK
@given(data=st.data())
def test_one_change_anywhere_is_accepted_or_is_a_problem(written, sound, data):
    import yaml

    document = yaml.safe_load(sound)
    value, path = document, []
    while isinstance(value, dict | list) and value:
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        path.append((value, key))
        value = value[key]
        if data.draw(st.booleans()):
            break
    holder, key = path[-1]
    holder[key] = data.draw(DOCUMENTS)
    examined = examine(written(yaml.safe_dump(document, allow_unicode=True)))
    assert examined.problems or examined.cluster is not None
