"""For one description, every target starts each rank with the same image, environment, command and GPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from renderings import CASES, DIGEST, description, place, render
from started import Started, compose, docker, leader_worker_set, slurm

from nimctl.placement import Rank

CONTRACTS = sorted(CASES)
OWN = {"VLLM_HOST_IP", "REHEARSAL_ADDRESS"}
"""Variables that carry the rank's own address; all others that name one name the leader's."""


@dataclass(frozen=True)
class Declared:
    """What a target writes in its own way: addresses, the leader's name, the interface, and what it adds."""

    leader: str
    address: Callable[[int], str]
    leader_name: str
    interfaces: dict[str, str] = field(default_factory=dict)
    adds: frozenset[str] = frozenset()

    def variable(self, name: str, value: str, rank: Rank) -> str:
        if name == "HEAD_NODE":
            assert value == rank.leader
            return self.leader_name
        if name in OWN:
            assert value == rank.address
            return self.address(rank.rank)
        return self.word(value, rank)

    def word(self, text: str, rank: Rank) -> str:
        text = text.replace(rank.leader_address, self.leader)
        for own, other in self.interfaces.items():
            text = text.replace(own, other)
        return text


def ranks(tmp_path: Path, contract: str) -> tuple[Rank, ...]:
    """The ranks as Ansible starts them."""
    wanted = place(tmp_path, description(contract)).ranks
    assert [rank.rank for rank in wanted] == [0, 1, 2, 3, 4]
    return wanted


def check(found: list[Started], wanted: tuple[Rank, ...], declared: Declared | None = None) -> None:
    """Compare what is started with the placement, after the substitutions that a target declares."""
    assert [each.rank for each in found] == [rank.rank for rank in wanted]
    for each, rank in zip(found, wanted, strict=True):
        here = declared or Declared(rank.leader_address, lambda _, rank=rank: rank.address, rank.leader)
        assert DIGEST in each.image
        assert each.gpus == len(rank.gpus)
        assert each.secrets == set(rank.secrets)
        assert {name: each.environment.get(name) for name in rank.environment} == {
            name: here.variable(name, value, rank) for name, value in rank.environment.items()
        }
        assert set(each.environment) - set(rank.environment) <= here.adds
        words = [here.word(word, rank) for word in rank.command]
        assert each.program in ((rank.entrypoint, *words), tuple(words), rank.program)
        assert not rank.entrypoint or each.program[0] == rank.entrypoint


@pytest.mark.parametrize("contract", CONTRACTS)
def test_docker(tmp_path: Path, contract: str) -> None:
    check(
        list(docker(render(place(tmp_path, description(contract)), "docker"), tmp_path)),
        ranks(tmp_path, contract),
    )


@pytest.mark.parametrize("contract", CONTRACTS)
def test_compose(tmp_path: Path, contract: str) -> None:
    check(list(compose(render(place(tmp_path, description(contract)), "compose"))), ranks(tmp_path, contract))


@pytest.mark.parametrize("contract", CONTRACTS)
def test_leader_worker_set(tmp_path: Path, contract: str) -> None:
    placement = place(tmp_path, description(contract), "k8s")
    on_node_network = contract in ("nim-variant", "sglang")
    declared = Declared(
        "r1-0.r1.five",
        lambda rank: f"10.8.0.{rank}",
        "r1-0.r1.five",
        {} if on_node_network else {"ib0": "eth0", "eth7": "eth0"},
        frozenset({"NIMCTL_RANK", "NIMCTL_ADDRESS"}),
    )
    check(list(leader_worker_set(render(placement, "k8s"), "five")), ranks(tmp_path, contract), declared)


def test_leader_worker_set_counts_ranks_by_label(tmp_path: Path) -> None:
    texts = render(place(tmp_path, description("nim1-env"), "k8s"), "k8s")
    found = [each.environment["NIM_NODE_RANK"] for each in leader_worker_set(texts, "five")]
    assert found == ["0", "1", "2", "3", "4"]
    assert texts["r1/leaderworkerset.yaml"].count("leaderworkerset.sigs.k8s.io/worker-index']") == 2
    texts = render(place(tmp_path, description("vllm"), "k8s"), "k8s")
    for rank, each in enumerate(leader_worker_set(texts, "five")):
        assert each.program[each.program.index("--node-rank") + 1] == str(rank)


@pytest.mark.parametrize("runtime", ["pyxis", "enroot"])
@pytest.mark.parametrize("contract", CONTRACTS)
def test_slurm(tmp_path: Path, contract: str, runtime: str) -> None:
    placement = place(tmp_path, description(contract, f"slurm: {{runtime: {runtime}}}\n"), "slurm")
    (text,) = render(placement, "slurm").values()
    found = list(slurm(text, 5, tmp_path / "run"))
    scheduler = {"SLURM_NODEID", "NIMCTL_ADDRESSES", "NIMCTL_LEADER", "NIMCTL_LEADER_ADDRESS"}
    gpus = {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
    stubs = {"PATH", "HOME", "NODE", "NODES", "RECORD", "PWD", "SHLVL", "_", "SLURM_JOB_ID"}
    secrets = {"NGC_API_KEY", "HF_TOKEN"}
    declared = Declared(
        "10.9.0.01",
        lambda rank: f"10.9.0.0{rank + 1}",
        "n01",
        adds=frozenset(scheduler | gpus | stubs | secrets),
    )
    wanted = ranks(tmp_path, contract)
    check(found, wanted, declared)
    for each, rank in zip(found, wanted, strict=True):
        assert each.program == tuple(declared.word(word, rank) for word in rank.program)


def test_slurm_counts_ranks_by_node(tmp_path: Path) -> None:
    (text,) = render(place(tmp_path, description("nim1-env"), "slurm"), "slurm").values()
    found = list(slurm(text, 5, tmp_path / "run"))
    assert [each.environment["NIM_NODE_RANK"] for each in found] == ["0", "1", "2", "3", "4"]
    assert [each.environment["NIM_LEADER_ROLE"] for each in found] == ["1", "0", "0", "0", "0"]


def test_slurm_tells_srun_what_pyxis_needs(tmp_path: Path) -> None:
    placement = place(tmp_path, description("nim1-env"), "slurm")
    (text,) = render(placement, "slurm").values()
    list(slurm(text, 5, tmp_path / "run"))
    options = (tmp_path / "run" / "record.srun").read_text().splitlines()
    assert f"--container-image=nvcr.io#nim/deepseek-ai/deepseek-r1:{DIGEST}" in options
    cache = tmp_path / "run" / ".cache" / "nimctl" / "r1"
    assert f"--container-mounts={cache}:/opt/nim/.cache,/models/r1:/models/r1:ro" in options
    assert cache.is_dir()


def test_slurm_imports_an_image_for_enroot_once(tmp_path: Path) -> None:
    placement = place(tmp_path, description("nim2-ray", "slurm: {runtime: enroot}\n"), "slurm")
    (text,) = render(placement, "slurm").values()
    list(slurm(text, 5, tmp_path / "run"))
    (image,) = (tmp_path / "run" / ".cache" / "nimctl" / "images").iterdir()
    assert image.name.endswith(".sqsh")
    told = (tmp_path / "run" / "record.enroot").read_text()
    assert f"\n{image}\nbash\n" in told
    assert "not-shown" not in told
