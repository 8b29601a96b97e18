"""The shape of a contract file: how the ranks of one engine find each other, as data.

A contract says for each role of a rank (``leader``, ``worker``, or ``single`` for a replica on one node)
which environment, command, options and ports it gets. Values are templates: ``{leader_address}`` and the
other names in ``FIELDS`` are filled in for every rank. Every row says why it is there, where that was
learned, and how sure it is.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Role = Literal["leader", "worker", "single"]
ROLES: tuple[Role, ...] = ("leader", "worker", "single")

Evidence = Literal["source", "third-party", "calculated", "memory", "open", "article", "ours"]
EVIDENCE: dict[str, str] = {
    "source": "read in the vendor's source or documentation",
    "third-party": "read in somebody else's working deployment",
    "calculated": "follows from facts of the other kinds",
    "memory": "known, but not looked up",
    "open": "not known; our best guess",
    "article": "as the article writes it",
    "ours": "our own engine or decision",
}

FIELDS: dict[str, str] = {
    "rank": "number of the rank, 0 is the leader",
    "nodes": "number of nodes in the replica",
    "tensor": "tensor parallel size",
    "pipeline": "pipeline parallel size",
    "gpus": "GPUs of this rank",
    "leader": "name of the leader's node",
    "leader_address": "address on which other ranks reach the leader",
    "leader_host": "the same, in brackets when it is IPv6, for host:port",
    "address": "address on which other ranks reach this rank",
    "listen": "address to listen on: 0.0.0.0, or :: when the node has an IPv6 address",
    "model": "catalogue name of the model",
    "served_name": "name under which clients ask for the model",
    "weights": "path of the weights, where the description gives one",
    "model_or_path": "path of the weights, else the catalogue name",
    "revision": "revision of weights that the engine downloads itself",
    "profile": "the engine's own profile name",
    "profile_backend": "first word of the profile: sglang, vllm, tensorrt_llm",
    "arguments": "the deployment's args, quoted for a shell",
    "interface": "network interface on the fabric",
    "hcas": "HCAs with their port, comma separated",
    "cache": "where the cache folder is mounted",
    "ipv6": "1 when the ranks talk over IPv6",
}
_TEMPLATE = re.compile(r"\{([a-z][a-z0-9_]*)\}")

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
ContractId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    """A model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Row(Strict):
    """What every row of a contract carries: for whom it is, and why.

    ``when`` names template fields that must be filled, ``unless`` fields that must be empty.
    """

    roles: list[Role] = Field(default_factory=lambda: list(ROLES))
    engines: list[str] = Field(default_factory=list, description="Only under these engines; empty: under all")
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)
    why: str = Field(min_length=1)
    source: str = Field(min_length=1)
    evidence: Evidence


class Variable(Row):
    """One environment variable; ``value: null`` is one that is left unset on purpose."""

    name: VariableName
    value: str | None
    identity: bool = Field(False, description="Carries rank, size or leader: `env` may not set it")


class Argument(Row):
    """Words of the command, after the image."""

    words: list[str] = Field(min_length=1)


class Option(Row):
    """Words of ``docker run`` before the image."""

    words: list[str] = Field(min_length=1)


class PortRow(Row):
    """A port that a rank binds on its node: the deployment's own (no ``default``) or an internal one."""

    default: Port | None = None
    fixed: bool = Field(False, description="The engine cannot be told another one")
    step: int = Field(1, ge=1, le=1000, description="Distance to the next choice when the port is taken")


class Precision(Row):
    """The words that ask an engine for a precision."""

    words: list[str] = Field(min_length=1)


class HealthCheck(Strict):
    """How the leader shows that the replica serves."""

    path: str = Field(pattern=r"^/")
    live: str | None = Field(None, pattern=r"^/", description="Answers as long as the process is alive")
    source: str
    evidence: Evidence


class Program(Strict):
    """What an image starts by itself, for targets that have to be told."""

    words: list[str] = Field(min_length=1)
    source: str
    evidence: Evidence


class Log(Strict):
    """Patterns (regular expressions) in a rank's log."""

    ready: str | None = None
    handshake: str | None = Field(
        None, description="The leader's line that workers wait for, with a named group per published value"
    )
    published: dict[str, str] = Field(
        default_factory=dict, description="What workers are defined with, by group of `handshake`; templates"
    )
    source: str
    evidence: Evidence

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        for pattern in (self.ready, self.handshake):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        if set(self.published) != set(re.compile(self.handshake or "").groupindex):
            raise ValueError("published: names other values than the groups of handshake")
        return self


class Start(Strict):
    """In which order ranks start, and how long a replica may take."""

    order: Literal["leader-first", "together"]
    deadline: str = Field(pattern=r"^[1-9][0-9]*[smh]$")
    source: str
    evidence: Evidence


class Liveness(Strict):
    """How long a serving replica may make no progress before it counts as dead, with requests unanswered."""

    silent: str = Field("105s", pattern=r"^[1-9][0-9]*[smh]$")
    source: str
    evidence: Evidence


class Cache(Strict):
    """Where the engine keeps what it downloads, and the uid that must own the folder."""

    path: str = Field(pattern=r"^/")
    uid: int = Field(ge=0, le=65535)
    source: str
    evidence: Evidence


class Key(Strict):
    """A secret that the engine wants in a variable when it downloads by itself."""

    variable: VariableName
    secret: str = Field(description="Entry under `secrets`: the variable's name in lower case")
    required: bool
    why: str

    @model_validator(mode="after")
    def _named_alike(self) -> Self:
        if self.secret != self.variable.lower():
            raise ValueError(f"secret must be {self.variable.lower()!r}, the variable's name in lower case")
        return self


class Inference(Strict):
    """A hint: which images probably speak this contract, or probably fail under it."""

    engine: str
    tag: str = Field(description="Regular expression that the whole tag must match")
    nodes: Literal["any", "one", "several"] = "any"
    why: str

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            re.compile(self.tag)
        except re.error as error:
            raise ValueError(f"{self.tag!r} is not a regular expression: {error}") from error
        return self

    def covers(self, tag: str, nodes: int) -> bool:
        """Whether it is about images with this tag, for replicas of so many nodes."""
        wanted = self.nodes == "any" or (self.nodes == "one") == (nodes == 1)
        return wanted and re.fullmatch(self.tag, tag) is not None


class Refusal(Strict):
    """With which engines a run must not start this contract, and what to use instead."""

    engines: list[str] = Field(min_length=1)
    use: ContractId | None = None
    why: str


class Traces(Strict):
    """What an image of this contract looks like from outside, for ``nimctl contracts verify``.

    ``required`` must all be seen; ``supporting`` and ``contrary`` raise and lower the confidence.
    """

    files: list[str] = Field(default_factory=list, description="Files that must be in the image")
    variables: list[VariableName] = Field(
        default_factory=list, description="Variables that its scripts must read"
    )
    supporting: list[VariableName] = Field(default_factory=list)
    modules: list[str] = Field(default_factory=list, description="Python packages that must be installed")


class Contract(Strict):
    """One launch contract."""

    plugin: str | None = Field(
        None, description="nimctl.multinode.cluster in files beside a description, for Ansible"
    )
    id: ContractId
    title: str
    summary: str
    engines: list[str] = Field(min_length=1)
    evidence: Evidence
    source: str
    default_for: list[str] = Field(
        default_factory=list, description="Engines that use it when nothing else is said"
    )
    infer: list[Inference] = Field(default_factory=list)
    warn: list[Inference] = Field(
        default_factory=list, description="Images that name this contract and probably fail under it"
    )
    refuse: list[Refusal] = Field(default_factory=list)
    literal: bool = Field(
        False, description="Take options and network variables from here alone; derive none"
    )
    entrypoint: str | None = None
    program: Program | None = Field(None, description="What the image starts where `command` is empty")
    environment: list[Variable] = Field(default_factory=list)
    command: list[Argument] = Field(default_factory=list)
    options: list[Option] = Field(default_factory=list)
    arguments: Literal["appended", "variable", "refused"] = "refused"
    precision: dict[str, Precision] = Field(default_factory=dict)
    ports: dict[str, PortRow]
    health: HealthCheck
    log: Log
    start: Start
    liveness: Liveness = Field(
        default_factory=lambda: Liveness(
            silent="105s", source="four questions of 15 s after 45 s without progress", evidence="ours"
        )
    )
    cache: Cache | None = None
    keys: list[Key] = Field(default_factory=list)
    shm: str | None = Field(None, pattern=r"^[1-9][0-9]*[kmg]$")
    reserved: list[VariableName] = Field(
        default_factory=list, description="Further variables `env` may not set"
    )
    traces: Traces = Field(default_factory=Traces)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "api" not in self.ports:
            raise ValueError("ports: `api` is missing")
        known = set(FIELDS) | {f"port_{name}" for name in self.ports}
        for row in (*self.environment, *self.command, *self.options, *self.ports.values()):
            for name in (*row.when, *row.unless):
                if name not in known:
                    raise ValueError(f"{name!r} in when/unless is none of {', '.join(sorted(known))}")
        texts = [v.value for v in self.environment if v.value is not None]
        texts += [word for argument in self.command for word in argument.words]
        texts += [word for option in self.options for word in option.words]
        texts += self.log.published.values()
        for text in texts:
            if "{{" in text or "{%" in text:
                raise ValueError(
                    f"{text!r} holds a Jinja template; fields are written {{rank}}, in single braces"
                )
            for name in _TEMPLATE.findall(text):
                if name not in known:
                    raise ValueError(f"{{{name}}} in {text!r} is none of {', '.join(sorted(known))}")
        for role in ROLES:
            names = [
                v.name
                for v in self.environment
                if role in v.roles and not v.when and not v.unless and not v.engines
            ]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"environment: {', '.join(twice)} is given twice for role {role}")
        if self.arguments == "variable" and not any("{arguments}" in text for text in texts):
            raise ValueError("arguments: variable, but no variable uses {arguments}")
        return self

    @property
    def identity(self) -> frozenset[str]:
        """Variables that ``env`` of a deployment may not set."""
        return frozenset(v.name for v in self.environment if v.identity) | frozenset(self.reserved)

    @property
    def flags(self) -> frozenset[str]:
        """Flags that the contract itself writes into the command, so that ``args`` may not."""
        return frozenset(word for argument in self.command for word in argument.words if word.startswith("-"))


def fill(text: str, fields: dict[str, str]) -> str:
    """Put the fields into a template; the names were checked when the contract was loaded."""
    return _TEMPLATE.sub(lambda match: fields[match[1]], text) if "{" in text else text


def for_role(row: Row, role: Role, engine: str) -> bool:
    """Whether a row is for this role and engine."""
    return role in row.roles and (not row.engines or engine in row.engines)


def applies(row: Row, role: Role, engine: str, fields: dict[str, str]) -> bool:
    """Whether a row is for this role and engine, with these fields."""
    return (
        for_role(row, role, engine)
        and all(fields.get(name) for name in row.when)
        and not any(fields.get(name) for name in row.unless)
    )
