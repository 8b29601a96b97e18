"""Variables of NIM: names that nobody reads, names that are missing, values that mean something else."""

from __future__ import annotations

from nimctl.lint.containers import Container, Variable
from nimctl.lint.facts import facts, is_known
from nimctl.lint.model import Edit, Fix, Report, rule

_EVERY = ("kubernetes", "docker", "compose", "sbatch", "env")

UNREAD = rule(
    "nim-unread-variable",
    "error",
    "a variable that no NIM image reads",
    why="The rank starts as if it were not there: alone, or with another precision than was meant.",
    source="a search for these names in public repositories (src/nimctl/data/lint.yml)",
    kinds=_EVERY,
)
UNKNOWN = rule(
    "nim-unknown-variable",
    "warning",
    "a variable of NIM that nobody knows",
    why="It is in no contract and in no index of NVIDIA's documentation; mostly it is misspelt.",
    source="index of the NIM LLM documentation; k8s-nim-operator",
    kinds=_EVERY,
)
MISSING = rule(
    "nim-missing-variable",
    "error",
    "a rank of several that lacks what its contract needs",
    why="Without these variables an image takes itself for the only node and refuses, or waits for ever.",
    source="dgxc-benchmarking, cloudai, Run:ai, k8s-nim-operator",
    kinds=("kubernetes", "docker", "compose"),
)
UNSET = rule(
    "nim-missing-setting",
    "warning",
    "a rank of several that leaves to chance what all must have alike",
    why="Without NIM_MODEL_PROFILE each rank chooses a profile by itself; without NIM_USE_SGLANG and "
    "NIM_TRUST_CUSTOM_CODE profiles that span nodes do not start.",
    source="dgxc-benchmarking, Run:ai, sample of k8s-nim-operator",
    kinds=("kubernetes", "docker", "compose"),
)
MODEL_NAME = rule(
    "nim-model-name",
    "error",
    "NIM_MODEL_NAME with the name of a catalogue",
    why="In NIM 1.x it is the path or URI of the weights. A catalogue name is taken for a folder that is "
    "not there.",
    source="dgxc-benchmarking inf_nim/deepseek-r1/launch.sh",
    kinds=_EVERY,
)
JSON_LOGGING = rule(
    "nim-json-logging",
    "error",
    "JSON logging on several nodes of NIM 2.x",
    why="Ray's workers lack the formatter and fail to start.",
    source="NIM LLM documentation 2.x, known limitations",
    kinds=("kubernetes", "docker", "compose"),
)
INJECTED = rule(
    "lws-variable-dropped",
    "warning",
    "a variable that LeaderWorkerSet sets itself",
    why="LeaderWorkerSet drops a value of the same name, so what is written here has no effect.",
    source="kubernetes-sigs/lws pkg/utils/pod",
    kinds=("kubernetes",),
)
KEY_MISSING = rule(
    "nim-key-missing",
    "error",
    "NIM that downloads its model without a key",
    why="Without NGC_API_KEY nothing is downloaded; with weights on a path no key is needed.",
    source="NIM LLM documentation, NGC_API_KEY",
    kinds=("kubernetes", "docker", "compose"),
)

_SETTINGS = ("NIM_MODEL_PROFILE", "NIM_USE_SGLANG", "NIM_TRUST_CUSTOM_CODE")


def check(container: Container, report: Report) -> None:
    """All rules of this module."""
    for variable in container.variables:
        _name(container, variable, report)
    _model_name(container, report)
    if container.is_nim and container.seen:
        if container.spans_nodes:
            _missing(container, report)
        _key(container, report)
    contract = container.contract
    logging = container.get("NIM_JSONL_LOGGING")
    if contract and contract.id == "nim2-ray" and container.spans_nodes and logging and logging.value == "1":
        fix = Fix("set it to 0", logging.write("0")) if logging.write else None
        report.add(
            JSON_LOGGING, logging.place, "NIM_JSONL_LOGGING=1: Ray's workers do not start with it", fix
        )


def _name(container: Container, variable: Variable, report: Report) -> None:
    name = variable.name
    invented = facts().invented.get(name)
    if invented is not None and (container.is_nim or not container.image):
        if invented.instead and container.get(invented.instead) is None and variable.rename:
            fix = Fix(f"rename it to {invented.instead}", variable.rename(invented.instead))
        else:
            fix = Fix("take it out", variable.remove)
        use = f"; the real one is {invented.instead}" if invented.instead else ""
        report.add(UNREAD, variable.place, f"no NIM image reads {name}: {invented.why}{use}", _usable(fix))
    elif name.startswith("NIM_") and invented is None and not is_known(name):
        report.add(
            UNKNOWN, variable.place, f"{name} is in no contract and no index of NVIDIA's documentation"
        )
    if container.kind == "kubernetes" and name in (
        "LWS_LEADER_ADDRESS",
        "LWS_GROUP_SIZE",
        "LWS_WORKER_INDEX",
    ):
        fix = Fix("take it out", variable.remove)
        report.add(
            INJECTED, variable.place, f"LeaderWorkerSet sets {name} and drops this value", _usable(fix)
        )


def _usable(fix: Fix) -> Fix | None:
    return fix if fix.edits else None


def _present(container: Container) -> set[str]:
    """Names that are set, or will be when invented ones are renamed."""
    names = {variable.name for variable in container.variables}
    return names | {facts().invented[name].instead for name in names if name in facts().invented}


def _missing(container: Container, report: Report) -> None:
    contract = container.contract
    if contract is None:
        return
    wanted = list(facts().required.get(contract.id, []))
    if container.kind != "kubernetes":
        wanted += facts().required_outside_kubernetes.get(contract.id, [])
    present = _present(container)
    missing = [name for name in wanted if name not in present]
    if missing:
        added = _add(container, missing)
        fix = Fix(f"add {', '.join(missing)}", added) if added else None
        report.add(MISSING, container.place, f"a rank of several needs {', '.join(missing)}", fix)
    settings = [name for name in _SETTINGS if contract.id == "nim1-env" and name not in present]
    if settings:
        added = _add(container, [name for name in settings if name != "NIM_MODEL_PROFILE"])
        fix = Fix("add those whose value is known", added) if added else None
        report.add(UNSET, container.place, f"{', '.join(settings)} should be the same on every rank", fix)


def _add(container: Container, names: list[str]) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    for name in names:
        value = _value(container, name)
        if value is not None and container.add_variable is not None:
            edits += container.add_variable(name, value)
    return tuple(edits)


def _value(container: Container, name: str) -> str | None:
    """The value that a missing variable has to have, where the file tells."""
    if name in ("NIM_MULTI_NODE", "NIM_USE_SGLANG", "NIM_TRUST_CUSTOM_CODE"):
        return "1"
    if name == "NIM_LEADER_ROLE":
        return {"leader": "1", "worker": "0"}.get(container.role)
    if container.kind == "kubernetes" and container.size is not None:
        return {
            "NIM_NODE_RANK": "field:metadata.labels['leaderworkerset.sigs.k8s.io/worker-index']",
            "NIM_NUM_COMPUTE_NODES": "$(LWS_GROUP_SIZE)",
        }.get(name)
    return None


def _model_name(container: Container, report: Report) -> None:
    variable = container.get("NIM_MODEL_NAME")
    if variable is None or variable.origin != "literal" or not (container.is_nim or not container.image):
        return
    if variable.value.startswith("/") or "://" in variable.value:
        return
    served = (
        "; clients ask for NIM_SERVED_MODEL_NAME" if container.get("NIM_SERVED_MODEL_NAME") is None else ""
    )
    report.add(
        MODEL_NAME,
        variable.place,
        f"NIM_MODEL_NAME is the path of the weights, and {variable.value} is none: leave it out where NIM "
        f"downloads them{served}",
        _usable(Fix("take it out", variable.remove)),
    )


def _key(container: Container, report: Report) -> None:
    local = [
        container.get(name) for name in ("NIM_MODEL_NAME", "NIM_MODEL_PATH", "NIM_DISABLE_MODEL_DOWNLOAD")
    ]
    if any(each is not None and (each.value.startswith("/") or each.value == "1") for each in local):
        return
    if container.get("NGC_API_KEY") is None and container.get("NGC_CLI_API_KEY") is None:
        added: tuple[Edit, ...] = ()
        if container.kind == "docker" and container.add_variable is not None:
            # A name without a value: docker takes it from the environment of whoever starts the container.
            added = tuple(
                Edit(edit.start, edit.end, edit.text.replace("-e NGC_API_KEY=", "-e NGC_API_KEY"))
                for edit in container.add_variable("NGC_API_KEY", "")
            )
        fix = Fix("pass NGC_API_KEY on from the environment", added) if added else None
        report.add(KEY_MISSING, container.place, "NIM downloads its model here and has no NGC_API_KEY", fix)
