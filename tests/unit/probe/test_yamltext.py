"""The reader without PyYAML, compared with PyYAML."""

import string

import pytest
import yaml
from ansible_collections.nimctl.multinode.plugins.module_utils.host.yamltext import UnknownYamlError, load
from hypothesis import given
from hypothesis import strategies as st

DOCUMENTS = [
    "a: 1\nb:\n- x\n- y: 2\n  z:\n    - deep\n",
    "---\nkind: nvidia.com/gpu # text\ndevices:\n  - name: \"0\"\n    containerEdits: {}\n  - name: 'all'\n",
    'a:\nb: ~\nc: null\nd: true\ne: []\nf: [1, two]\ng: {"x": [1]}\n',
    "- - 1\n  - 2\n-\n  - 3\n",
    "path: /usr/lib/x#y\nargs:\n- --link\n- libcuda.so.1::/usr/lib/libcuda.so\n- a:b\n",
    "'quoted key': 'it''s'\n\"k\": \"line\\nbreak \\\" # no comment\"\n",
    "x: -5\ny: 0\nz: some words - and: no\n".replace("and: no", "and more"),
    "env:\n- NVIDIA_VISIBLE_DEVICES=void\n- A=b # c\nempty:\n",
    "",
    "# nothing\n",
    "- a: 1\n  b: 2\n\n- a: 3\n",
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_it_reads_what_pyyaml_reads(text):
    assert load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &anchor 1\nb: *anchor\n",
        "a: !!str 1\n",
        "a: |\n  block\n",
        "a: >-\n  folded\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n   b: 2\n",
        "a: [1,\n  2]\n",
        'a: "open\n',
        "a: 'open\n",
        "\ta: 1\n",
        "a: 1\njust text\n",
        "%YAML 1.2\n---\na: 1\n",
    ],
)
def test_what_it_does_not_know_is_refused(text):
    with pytest.raises(UnknownYamlError, match="line "):
        load(text)


TEXTS = st.text(string.ascii_letters + string.digits + " /_.:=#'\"-[]{},", max_size=30)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-(10**9), 10**9), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(string.ascii_letters, min_size=1), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_it_never_reads_something_else_than_pyyaml(value):
    text = yaml.safe_dump(value, width=10**9, default_flow_style=False)
    try:
        found = load(text)
    except UnknownYamlError:
        return
    assert found == value


@given(st.text(st.sampled_from("ab:- #'\"[]{},\n\\"), max_size=40))
def test_it_never_reads_nonsense_otherwise_than_pyyaml(text):
    try:
        found = load(text)
    except UnknownYamlError:
        return
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    assert found == expected
