"""Which contract a deployment speaks: the one it names, its engine's only one, or a hint from the tag."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from nimctl.contracts.model import Contract
from nimctl.description.document import Deployment
from nimctl.image import parse


@dataclass(frozen=True, slots=True)
class Choice:
    """A contract, and the remark that goes with it when it was only inferred."""

    contract: Contract
    note: str | None = None


class NoContractError(ValueError):
    """No contract fits; the message says what to write. ``field`` is where, within the deployment."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def choose(deployment: Deployment, nodes: int, contracts: Mapping[str, Contract]) -> Choice:
    """The contract of a deployment whose replicas take so many nodes; raises NoContractError."""
    engine = deployment.engine
    fitting = sorted(c.id for c in contracts.values() if engine in c.engines)
    if deployment.contract is not None:
        contract = contracts.get(deployment.contract)
        if contract is None:
            near = difflib.get_close_matches(deployment.contract, contracts, 1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise NoContractError(
                "contract",
                f"{deployment.contract!r} is no known contract{hint}; expected one of {', '.join(fitting)}",
            )
        if engine not in contract.engines:
            raise NoContractError(
                "contract",
                f"{contract.id!r} is not spoken by engine {engine}; expected one of {', '.join(fitting)}",
            )
        return Choice(contract)
    for identifier in sorted(contracts):
        if engine in contracts[identifier].default_for:
            return Choice(contracts[identifier])
    tag = parse(deployment.image).tag or ""
    found = infer(engine, tag, nodes, contracts)
    if found is not None:
        contract, why = found
        note = (
            f"deployment {deployment.name}: contract {contract.id} inferred from the tag {tag!r} "
            f"of its image ({why}); write `contract: {contract.id}` to make it certain"
        )
        return Choice(contract, note)
    seen = f"the tag {tag!r}" if tag else "an image without a tag"
    raise NoContractError(
        "image", f"no contract can be inferred from {seen}; add `contract:` with one of {', '.join(fitting)}"
    )


def infer(
    engine: str, tag: str, nodes: int, contracts: Mapping[str, Contract]
) -> tuple[Contract, str] | None:
    """The contract that images with this tag probably speak, and why; None where the tag does not say."""
    for _, contract in sorted(contracts.items()):
        for hint in contract.infer:
            if hint.engine == engine and hint.covers(tag, nodes):
                return contract, hint.why
    return None


def warnings(deployment: Deployment, nodes: int, contract: Contract) -> list[str]:
    """What is known against an image of this tag under its contract, for a person."""
    tag = parse(deployment.image).tag or ""
    return [
        f"deployment {deployment.name}: an image with the tag {tag!r} probably does not start on "
        f"{nodes} {'node' if nodes == 1 else 'nodes'}: {hint.why}"
        for hint in contract.warn
        if hint.engine == deployment.engine and hint.covers(tag, nodes)
    ]
