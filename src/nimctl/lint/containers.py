"""What rules look at: containers as every kind of file describes them, in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from nimctl.contracts import Contract, builtin, infer
from nimctl.image import ImageReference, parse
from nimctl.lint.model import Edit, Place, Source

Kind = Literal["kubernetes", "docker", "compose", "sbatch", "env"]
KINDS: tuple[Kind, ...] = ("kubernetes", "docker", "compose", "sbatch", "env")
Origin = Literal["literal", "expanded", "field", "secret", "passed", "elsewhere"]
Role = Literal["leader", "worker", "single", "unknown"]

Setter = Callable[[str], "tuple[Edit, ...]"]
"""Edits that write another name or value."""


@dataclass(slots=True)
class Variable:
    """One environment variable.

    ``origin`` says where its value comes from: written here (``value``), put together by a shell or
    Kubernetes (``expanded``), the downward API (``field``, ``value`` is the path), a secret, the caller's
    environment by name (``passed``), or somewhere that is not seen.
    """

    name: str
    value: str
    origin: Origin
    place: Place
    remove: tuple[Edit, ...] = ()
    rename: Setter | None = None
    write: Setter | None = None


@dataclass(slots=True)
class MountPoint:
    """A folder that a container sees; ``retarget`` writes another path in the container."""

    target: str
    source: str
    read_only: bool
    place: Place
    retarget: Setter | None = None


@dataclass(eq=False)
class Container:
    """One container, or what stands for one: the variables of an env file, the task of a job.

    ``seen`` is False where variables may come from files or objects that are not here. ``size`` is the
    number of ranks in its replica where the file tells, ``gpus`` the number of its GPUs and
    ``gpu_model`` their row of the GPU table. ``add_variable``
    writes edits that set one more. ``rdma``: it gets the node's HCAs. ``run`` is the command that starts
    it, in scripts.
    """

    kind: Kind
    source: Source
    place: Place
    image: str = ""
    image_place: Place = (1, 1)
    variables: list[Variable] = field(default_factory=list)
    seen: bool = True
    mounts: list[MountPoint] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    role: Role = "unknown"
    size: int | None = None
    gpus: int | None = None
    gpu_model: str = ""
    host_network: bool = False
    rdma: bool = False
    ipc_lock: bool = False
    shm: bool = False
    group: str = ""
    add_variable: Callable[[str, str], tuple[Edit, ...]] | None = None
    add_capability: Setter | None = None
    run: object = None

    def get(self, name: str) -> Variable | None:
        """A variable by name; the last one wins, as everywhere."""
        return next((each for each in reversed(self.variables) if each.name == name), None)

    def value(self, name: str) -> str | None:
        """The value of a variable that is written here."""
        found = self.get(name)
        return found.value if found and found.origin == "literal" else None

    def number(self, name: str) -> int | None:
        """The value of a variable as a number."""
        text = self.value(name)
        return int(text) if text is not None and text.isdigit() else None

    @cached_property
    def reference(self) -> ImageReference | None:
        """The image, taken apart; None where a shell or a chart puts it together."""
        if not self.image or "$" in self.image or "{{" in self.image:
            return None
        return parse(self.image)

    @property
    def is_nim(self) -> bool:
        """Whether the image is one of NVIDIA's NIM."""
        found = self.reference
        return found is not None and (found.repository.startswith("nim/") or "/nim/" in found.repository)

    @property
    def engine(self) -> str:
        """The engine that an image runs, as far as its name tells; empty where it does not."""
        if self.is_nim:
            return "nim"
        path = self.reference.repository if self.reference else ""
        return next((name for name in ("vllm", "sglang") if name in path), "")

    def argument(self, *names: str) -> int | None:
        """The number that an argument of the engine has, however it is written."""
        text = " ".join(self.words).replace("_", "-")
        for name in names:
            match = re.search(rf"(?:^|\s)--?{name}[=\s]+\"?(\d+)\b", text)
            if match:
                return int(match[1])
        return None

    def find_role(self) -> None:
        """Work out the role from rank and command, where the file has no other word for it."""
        rank = self.number("NIM_NODE_RANK")
        rank = self.argument("node-rank") if rank is None else rank
        if rank is not None:
            self.role = "worker" if rank else "leader"
        elif self.get("NIM_PRIMARY_NODE") or "--head-address" in self.words or "--headless" in self.words:
            self.role = "worker"

    @property
    def spans_nodes(self) -> bool:
        """Whether it is one rank of several."""
        if self.size is not None:
            return self.size > 1
        if (self.argument("nnodes") or 1) > 1 or self.get("NIM_PRIMARY_NODE") is not None:
            return True
        if (self.number("NIM_NODE_RANK") or 0) > 0 or self.number("NIM_MULTI_NODE") == 1:
            return True
        return any((self.number(name) or 0) > 1 for name in SIZES)

    @cached_property
    def contract(self) -> Contract | None:
        """The contract that the image probably speaks."""
        known = builtin()
        if self.engine in ("vllm", "sglang"):
            return known[self.engine]
        if self.engine != "nim" or self.reference is None or self.reference.tag is None:
            return None
        found = infer("nim", self.reference.tag, 2 if self.spans_nodes else 1, known)
        return found[0] if found else None


SIZES = ("NIM_NUM_COMPUTE_NODES", "NIM_NUM_NODES", "NNODES", "NUM_NODES", "SLURM_NNODES")
