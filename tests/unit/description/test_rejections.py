"""Every kind of mistake: what its message begins with, and where it points."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nimctl.description.words import looks_secret
from nimctl.errors import DescriptionError
from nimctl.inventory import read

KEY = "nvapi-" + "a1B2c3D4" * 5


REJECTIONS = yaml.safe_load((Path(__file__).parent / "rejections.yml").read_text("utf-8"))


@pytest.mark.parametrize("name", REJECTIONS)
def test_each_mistake_has_its_message_and_its_place(rejected, changed, name):
    row = REJECTIONS[name]
    problems = rejected(changed(row["replace"], row["by"]))
    said = [str(problem).split("cluster.yml:", 1)[1] for problem in problems]
    assert said[0].startswith(row["begins"]), said
    assert len(said) == 1, said
    assert "a1B2c3D4" not in "".join(said)
    assert "hunter2" not in "".join(said)


# Files in which nothing else can be read.
UNREADABLE = {
    "empty": ("", "1:1: found an empty file, expected a description that begins with `plugin:`"),
    "only a comment": ("# nothing\n", "1:1: found an empty file"),
    "nothing": ("---\n", "found nothing, expected a mapping that begins with `plugin:`"),
    "text": ("hello\n", '1:1: found the text "hello", expected a mapping that begins with `plugin:`'),
    "list": ("- a\n- b\n", "1:1: found a list of 2, expected a mapping that begins with `plugin:`"),
    "not YAML": ("plugin: [a\n", "2:1: not YAML: "),
    "an open quote": ('plugin: "a\n', "not YAML: "),
    "two colons": (
        "plugin: a: b\n",
        "1:10: not YAML: mapping values are not allowed in this context (a `:` too many",
    ),
    "two documents": (
        "plugin: a\n---\nplugin: b\n",
        "2:1: found a second document (`---`), expected one in a file",
    ),
    "Latin-1": (b"name: caf\xe9\n", "1:10: found the byte 0xe9, expected UTF-8 text"),
    "a control character": ("plugin: a\0b\n", "1:10: not YAML: found a control character, expected text"),
    "an alias of nothing": (
        "plugin: *a\n",
        "1:9: found an alias (`*name`) without an anchor (`&name`) above",
    ),
    "a list as a key": ("? [a]\n: b\n", "1:3: found a list, mapping or alias as a key, expected a name"),
    "a tab": (
        "plugin: a\nx:\n\ty: 1\n",
        "3:1: found a tab, expected spaces (YAML does not indent with tabs)",
    ),
}


@pytest.mark.parametrize(("text", "begins"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_problem(rejected, text, begins):
    problems = rejected(text)
    assert len(problems) == 1, problems
    assert begins in str(problems[0])


@pytest.mark.parametrize("tag", ["!vault", "!!python/object/apply:os.system", "!unsafe"])
def test_tags_are_refused_and_never_obeyed(rejected, changed, tag):
    problems = rejected(changed("name: test", f"name: {tag} test"))
    assert [problem.line for problem in problems] == [2]
    assert "found the tag" in problems[0].message


def test_all_problems_come_at_once_and_in_the_order_of_the_file(rejected, sound):
    text = sound
    for name in (
        "unknown GPU model",
        "relative mount",
        "unknown engine",
        "rank",
        "literal secret",
        "cluster name",
    ):
        text = text.replace(REJECTIONS[name]["replace"], REJECTIONS[name]["by"])
    problems = rejected(text)
    assert [problem.field[-1] for problem in problems] == [
        "name", "model", "mount", "engine", "NIM_NODE_RANK", "ngc_api_key",
    ]  # fmt: skip
    places = [(problem.line, problem.column) for problem in problems]
    assert places == sorted(places)


def test_a_wrong_value_does_not_hide_what_is_wrong_beside_it(rejected, changed):
    problems = rejected(
        changed(
            '{kind: infiniband, rate: ndr, interface: ib0, addresses: "10.1.0.[1-2]"}',
            '{kind: ib, rate: 1, hcas: [a, a], addresses: "10.1.0.[1-3]"}',
        ).replace("count: 8", "count: many")
    )
    assert {problem.field[2:] for problem in problems} == {
        ("gpu", "count"), ("fabric", "kind"), ("fabric", "rate"), ("fabric", "hcas"), ("fabric", "addresses"),
    }  # fmt: skip


def test_a_list_that_is_wrong_throughout_does_not_hide_its_entry(rejected, changed):
    problems = rejected(changed("    env: {NCCL_DEBUG: INFO}", '    gpus: ["1"]\n    env: {A-B: x}'))
    assert [problem.field[2:] for problem in problems] == [("gpus", 0), ("env", "A-B")]


def test_a_secret_is_not_repeated_wherever_it_stands(rejected, changed):
    for old, new in (
        ("plugin: nimctl.multinode.cluster", f"plugin: {KEY}"),
        ("name: test", f"{KEY}: test"),
        ("hosts: store01", f"hosts: {KEY}"),
        ("kind: nfs", f"kind: {KEY}"),
        ("model: h100-sxm", f"model: {KEY}"),
        ("mount: /models", f"mount: {KEY}"),
        ("hosts: store01", f'hosts: "{KEY}[1-"'),
        ("name: test", f"name: *{KEY}"),
        ("name: test", f'name: "{KEY}'),
        ("name: test", f"name: !{KEY} x"),
        ("contract: nim1-env", f"contract: {KEY}"),
    ):
        said = "\n".join(map(str, rejected(changed(old, new))))
        assert "a1B2c3D4" not in said, said


def test_a_missing_file_says_how_to_get_one(tmp_path, rejected):
    from nimctl.description import examine

    problems = examine(tmp_path / "nowhere").problems
    assert "does not exist; `nimctl init` writes a first one" in problems[0].message
    assert "does not exist" in examine(tmp_path).problems[0].message


def test_a_description_by_another_name_is_pointed_to(tmp_path):
    from nimctl.description import examine

    (tmp_path / "cluster.yaml").write_text("plugin: nimctl.multinode.cluster\n")
    (problem,) = examine(tmp_path).problems
    assert f"{tmp_path}/cluster.yaml does: rename it to cluster.yml" in problem.message


@pytest.mark.parametrize("literal", ["hunter2", KEY, "[a]"])
def test_a_literal_secret_is_one_problem_and_not_a_missing_secret_as_well(written, changed, literal):
    text = changed("{env: NGC_API_KEY}", literal).replace(
        "weights: {source: ngc, path: /models/r1}", "port: 8000"
    )
    text = text.replace("    args: [--quiet]\n", "")
    with pytest.raises(DescriptionError) as caught:
        read(written(text))
    assert [problem.field for problem in caught.value.problems] == [("secrets", "ngc_api_key")]


def test_no_name_is_suggested_that_cannot_stay(rejected, changed):
    problems = rejected(
        changed("hosts: store01", "hosts: store_01").replace("server: store01", "server: store-01")
    )
    said = "\n".join(problem.message for problem in problems)
    assert '"store_01", which cannot name a host' in said
    assert "did you mean" not in said


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("a" * 80, False),
        ("models/" * 20, False),
        ("deployment1" * 10, False),
        ("QWxhZGRpbjpvcGVuIHNlc2FtZQ1" * 4, True),
    ],
)
def test_a_long_name_is_no_secret(text, secret):
    assert looks_secret(text) is secret
