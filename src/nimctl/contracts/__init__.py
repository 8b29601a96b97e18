"""Launch contracts: how the ranks of an engine find each other, as data with sources."""

from __future__ import annotations

from nimctl.contracts.choose import Choice, NoContractError, choose, infer, warnings
from nimctl.contracts.facts import EngineFacts, Metrics, NetworkVariable, engines, metrics, network
from nimctl.contracts.model import EVIDENCE, ROLES, Contract, Role, applies, fill, for_role
from nimctl.contracts.store import builtin, load_contracts

__all__ = [
    "EVIDENCE",
    "ROLES",
    "Choice",
    "Contract",
    "EngineFacts",
    "Metrics",
    "NetworkVariable",
    "NoContractError",
    "Role",
    "applies",
    "builtin",
    "choose",
    "engines",
    "fill",
    "for_role",
    "infer",
    "load_contracts",
    "metrics",
    "network",
    "warnings",
]
