"""Which contract a deployment speaks, and what is only a guess."""

from __future__ import annotations

import re

import pytest

from nimctl.contracts import NoContractError, builtin, choose, warnings
from nimctl.description.document import Deployment


def deployment(engine: str, image: str, contract: str | None = None) -> Deployment:
    return Deployment.model_validate(
        {"name": "d", "model": "m", "engine": engine, "image": image, "contract": contract}
    )


@pytest.mark.parametrize(
    ("tag", "nodes", "contract"),
    [
        ("1.7.3", 2, "nim1-env"),
        ("1.12", 2, "nim1-env"),
        ("1.8.0-rtx", 1, "nim1-env"),
        ("1.3.0", 2, "nim1-mpi"),
        ("1.3.0", 1, "nim1-env"),
        ("2.0.1", 2, "nim2-ray"),
        ("3.1.0-rc1", 4, "nim2-ray"),
        ("1.11.0-variant", 2, "nim-variant"),
        ("2.1.2-variant", 1, "nim-variant"),
    ],
)
def test_a_tag_is_a_hint_and_said_to_be_one(tag: str, nodes: int, contract: str) -> None:
    choice = choose(deployment("nim", f"nvcr.io/nim/a/b:{tag}"), nodes, builtin())
    assert choice.contract.id == contract
    assert choice.note is not None
    assert f"contract {contract} inferred from the tag {tag!r}" in choice.note


@pytest.mark.parametrize(
    "image", ["nvcr.io/nim/a/b:latest", "nvcr.io/nim/a/b", "nvcr.io/nim/a/b@sha256:" + "a" * 64]
)
def test_no_guess_without_a_version(image: str) -> None:
    with pytest.raises(NoContractError, match=r"add `contract:` with one of article, nim-variant, nim1-env"):
        choose(deployment("nim", image), 2, builtin())


@pytest.mark.parametrize("engine", ["vllm", "sglang", "rehearsal"])
def test_an_engine_with_a_contract_of_its_own_needs_no_guess(engine: str) -> None:
    choice = choose(deployment(engine, "x:1.7.3"), 2, builtin())
    assert (choice.contract.id, choice.note) == (engine, None)


def test_what_is_written_is_no_guess() -> None:
    choice = choose(deployment("rehearsal", "x:1", "nim2-ray"), 2, builtin())
    assert (choice.contract.id, choice.note) == ("nim2-ray", None)
    with pytest.raises(NoContractError, match="did you mean 'nim1-env'"):
        choose(deployment("nim", "x:1", "nim1-envs"), 2, builtin())
    with pytest.raises(NoContractError, match="not spoken by engine sglang"):
        choose(deployment("sglang", "x:1", "vllm"), 2, builtin())


def test_every_tag_has_one_contract_at_most() -> None:
    for tag in ("1.0", "1.6.9", "1.7", "2.0", "3.4.5", "1.2-variant", "4.0", "latest"):
        for nodes in (1, 2):
            hints = [
                contract.id
                for contract in builtin().values()
                for hint in contract.infer
                if re.fullmatch(hint.tag, tag)
                and (hint.nodes == "any" or (hint.nodes == "one") == (nodes == 1))
            ]
            assert len(hints) <= 1, (tag, nodes, hints)


@pytest.mark.parametrize(
    ("tag", "nodes", "warned"),
    [
        ("v0.11.2", 2, True),
        ("0.9.1", 4, True),
        ("v0.11.0rc1", 2, True),
        ("v0.11.2", 1, False),
        ("v0.12.0", 2, False),
        ("v0.110.0", 2, False),
        ("latest", 2, False),
    ],
)
def test_an_image_of_vllm_that_cannot_span_nodes_gets_a_remark(tag: str, nodes: int, warned: bool) -> None:
    said = warnings(deployment("vllm", f"docker.io/vllm/vllm-openai:{tag}"), nodes, builtin()["vllm"])
    assert bool(said) is warned
    assert all("--nnodes" in text for text in said)
