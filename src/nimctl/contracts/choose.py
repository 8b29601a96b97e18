"""Which contract a deployment speaks: the one it names, its engine's only one, or a hint from the tag."""

from __future__ import annotations

import difflib
import re
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
    for identifier in sorted(contracts):
        for hint_ in contracts[identifier].infer:
            wanted = hint_.nodes == "any" or (hint_.nodes == "one") == (nodes == 1)
            if hint_.engine == engine and wanted and re.fullmatch(hint_.tag, tag):
                note = (
                    f"deployment {deployment.name}: contract {identifier} inferred from the tag {tag!r} "
                    f"of its image ({hint_.why}); write `contract: {identifier}` to make it certain"
                )
                return Choice(contracts[identifier], note)
    seen = f"the tag {tag!r}" if tag else "an image without a tag"
    raise NoContractError(
        "image", f"no contract can be inferred from {seen}; add `contract:` with one of {', '.join(fitting)}"
    )
