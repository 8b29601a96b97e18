"""Contract files: what a user's own may hold, and how problems in them are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimctl.contracts import EVIDENCE, builtin, engines, load_contracts, network
from nimctl.contracts.store import FOLDER, read_contract
from nimctl.errors import DescriptionError

GOOD = (FOLDER / "rehearsal.yml").read_text(encoding="utf-8")


def problems(tmp_path: Path, text: str, name: str = "rehearsal") -> list[str]:
    file = tmp_path / f"{name}.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DescriptionError) as caught:
        read_contract(file)
    assert all(problem.file == file for problem in caught.value.problems)
    return [f"{problem.line}: {str(problem).split(': ', 1)[1]}" for problem in caught.value.problems]


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(GOOD.splitlines(), 1) if words in line)


def test_ours_are_all_there() -> None:
    wanted = {"article", "nim-variant", "nim1-env", "nim1-mpi", "nim2-ray", "rehearsal", "sglang", "vllm"}
    assert set(builtin()) == wanted


@pytest.mark.parametrize("name", sorted(builtin()))
def test_every_row_says_why_and_where_from(name: str) -> None:
    contract = builtin()[name]
    for row in (*contract.environment, *contract.command, *contract.options, *contract.ports.values()):
        assert row.why
        assert row.source
        assert row.evidence in EVIDENCE


def test_facts_are_complete() -> None:
    assert set(engines()) == {"nim", "vllm", "sglang", "rehearsal"}
    assert {row.name for row in network()} >= {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "NCCL_IB_HCA"}
    for contract in builtin().values():
        assert set(contract.engines) <= set(engines())


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("{rank}", "{rnak}", "REHEARSAL_RANK", "{rnak}"),
        ("{rank}", "{{ rank }}", "REHEARSAL_RANK", "Jinja"),
        ("identity: true", "identitiy: true", "REHEARSAL_RANK", "is not a key of a contract"),
        ("deadline: 2m", "deadline: 2 minutes", "deadline", "deadline"),
        ("evidence: ours", "evidence: sure", "evidence: ours", "evidence"),
        ("  api:", "  apis:", "ports:", "`api` is missing"),
        ("summary: >-", "summary_: >-", "summary", "summary"),
        ("REHEARSAL_NODES", "REHEARSAL_RANK", "environment", "given twice"),
        ("title:", "title: [", "title", "not YAML"),
    ],
)
def test_problems_are_located(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert any(words in problem for problem in found), found
    assert all(not problem.startswith("0:") for problem in found)


def test_a_wrong_key_is_found_at_its_line(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("deadline: 2m", "deadline: soon", 1))
    assert found[0].startswith(f"{line_of('deadline: 2m')}: ")


def test_not_a_contract_at_all(tmp_path: Path) -> None:
    assert "mapping" in problems(tmp_path, "- 1\n")[0]
    assert "the file is named other.yml" in problems(tmp_path, GOOD, "other")[0]


def test_a_users_contract_replaces_ours(tmp_path: Path) -> None:
    assert load_contracts(tmp_path) == builtin()
    (tmp_path / "contracts").mkdir()
    own = "plugin: nimctl.multinode.cluster\n" + GOOD.replace("deadline: 2m", "deadline: 9m")
    (tmp_path / "contracts/rehearsal.yml").write_text(own, encoding="utf-8")
    assert load_contracts(tmp_path)["rehearsal"].start.deadline == "9m"
    assert builtin()["rehearsal"].start.deadline == "2m"
    (tmp_path / "contracts/a.yml").write_text("x: 1\n", encoding="utf-8")
    (tmp_path / "contracts/b.yml").write_text("y: 1\n", encoding="utf-8")
    with pytest.raises(DescriptionError) as caught:
        load_contracts(tmp_path)
    assert {problem.file.name for problem in caught.value.problems if problem.file} == {"a.yml", "b.yml"}
