"""``docker run``, ``podman run`` and compose: ports, restarts, logs, readiness."""

from __future__ import annotations

from nimctl.lint.containers import Container
from nimctl.lint.model import Fix, Report, rule
from nimctl.lint.readers.compose import Services
from nimctl.lint.readers.docker import Run, Script, insert_option, remove_option
from nimctl.lint.rules.pods import PRIVILEGED
from nimctl.lint.yamltree import Tree

_BOTH = ("docker", "compose")

PORT_IGNORED = rule(
    "published-port-ignored",
    "warning",
    "a published port on the node's network",
    why="With --network host there is nothing to publish: the engine discards the option, with a warning "
    "that scrolls by.",
    source="docker documentation, host network driver",
    kinds=_BOTH,
)
PORT_MISSING = rule(
    "port-missing",
    "warning",
    "an API that nobody reaches",
    why="The container is neither on the node's network nor does it publish the port of its API.",
    source="docker documentation, published ports",
    kinds=_BOTH,
)
IPC_HOST = rule(
    "ipc-host",
    "info",
    "the node's shared memory in a container",
    why="It works, and opens the shared memory of every process of the node; --shm-size gives the "
    "container its own.",
    source="docker documentation, --ipc; docs/decisions.md 5",
    kinds=_BOTH,
)
RESTART = rule(
    "restart-alone",
    "error",
    "a rank that is restarted alone",
    why="A rank that starts again by itself leaves a group that hangs: rank 0 does not notice that it lost "
    "one. Let something restart all ranks of the replica, leader first (nimctl does).",
    source="sglang issue 3099; vLLM on two nodes, measured (docs/explanation/rehearsal.md); "
    "docs/decisions.md 3",
    kinds=_BOTH,
)
LOG = rule(
    "log-unlimited",
    "info",
    "a log without a limit",
    why="The default log of docker and podman grows until the disk is full.",
    source="docker documentation, json-file logging driver (max-size is unlimited by default)",
    kinds=_BOTH,
)
PULL = rule(
    "image-not-pulled",
    "info",
    "a pull in the middle of a start",
    why="A pull of 20 GB on one rank makes the others wait, and a failed one leaves half a replica. Pull "
    "on all nodes first.",
    source="docs/decisions.md 12",
    kinds=("docker",),
)
READINESS = rule(
    "readiness-not-awaited",
    "info",
    "a start that nobody looks after",
    why="`docker run -d` returns at once; whether the replica serves shows half an hour later, at its "
    "health path.",
    source="dgxc-benchmarking waits 1600 s for the server; k8s-nim-operator (/v1/health/ready)",
    kinds=_BOTH,
)
OWNER = rule(
    "cache-owner",
    "info",
    "a cache folder that belongs to root",
    why="NIM runs as uid 1000. A folder that the engine makes belongs to root, and NIM cannot write to it.",
    source="NIM images run as uid 1000 (nim-deploy chart 1.1.2; field notes on 1.11.0-variant: os error 13)",
    kinds=("docker",),
)


def check_script(script: Script, report: Report) -> None:
    """Rules about the containers that a script starts."""
    texts = [" ".join(word.text for word in command.words) for command in script.commands]
    for run in script.runs:
        if run.container.engine:
            _ports(run, report)
            _run(run, report)
            _around(run, texts, report)


def _ports(run: Run, report: Report) -> None:
    container = run.container
    published = list(run.each("--publish"))
    if container.host_network:
        for option in published:
            fix = Fix("take it out", remove_option(container.source, option))
            report.add(
                PORT_IGNORED, option.first.place, f"-p {option.value} does nothing with --network host", fix
            )
    elif not published and run.option("--publish-all") is None and container.role != "worker":
        fix = Fix("publish 8000", insert_option(run, "-p 8000:8000"))
        report.add(
            PORT_MISSING, container.place, "neither --network host nor -p: nobody reaches the API", fix
        )


def _run(run: Run, report: Report) -> None:
    container = run.container
    ipc = run.option("--ipc")
    if ipc is not None and ipc.value == "host":
        report.add(
            IPC_HOST, ipc.first.place, "--shm-size 16g does the same without opening the node's memory"
        )
    privileged = run.option("--privileged")
    if privileged is not None:
        fix = Fix("take it out", remove_option(container.source, privileged))
        report.add(PRIVILEGED, privileged.first.place, "--privileged is not needed", fix)
    restart = run.option("--restart")
    if restart is not None and container.spans_nodes and restart.value.split(":")[0] not in ("no", ""):
        fix = Fix("take it out", remove_option(container.source, restart))
        report.add(RESTART, restart.first.place, f"--restart {restart.value} restarts this rank alone", fix)
    driver = run.option("--log-driver")
    limited = any(option.value.startswith("max-size=") for option in run.each("--log-opt"))
    if not limited and (driver is None or driver.value in ("json-file", "k8s-file")):
        fix = Fix("limit it", insert_option(run, "--log-opt max-size=100m"))
        report.add(LOG, container.place, "the log grows without a limit; --log-opt max-size=100m", fix)


def _around(run: Run, texts: list[str], report: Report) -> None:
    container = run.container
    if run.option("--pull") is None and not any(f"pull {container.image}" in text for text in texts):
        report.add(PULL, container.place, f"{container.image} is pulled while the rank starts")
    serves = container.role != "worker"
    waits = any(text.startswith(("curl", "wget")) or " curl " in f" {text} " for text in texts)
    if serves and not waits and run.option("--health-cmd") is None:
        report.add(READINESS, container.place, "nothing waits for /v1/health/ready")
    if container.is_nim and run.option("--user") is None:
        owned = any(text.startswith(("chown", "install")) or " chown " in f" {text} " for text in texts)
        host = [mount for mount in container.mounts if mount.source.startswith("/") and not mount.read_only]
        if host and not owned:
            report.add(
                OWNER,
                container.place,
                f"{host[0].source} has to belong to uid 1000: chown 1000:1000 it first",
            )


def check_compose(services: Services, report: Report) -> None:
    """Rules about the services of a compose file."""
    for container, service in services.services:
        if container.engine:
            _service(container, service, report)


def _service(container: Container, service: Tree, report: Report) -> None:
    ports = service.get("ports")
    if ports is not None and container.host_network:
        edit = ports.remove_entry()
        fix = Fix("take it out", (edit,)) if edit else None
        report.add(PORT_IGNORED, ports.place, "ports do nothing with network_mode: host", fix)
    elif ports is None and not container.host_network and container.role != "worker":
        report.add(
            PORT_MISSING, container.place, "neither network_mode: host nor ports: nobody reaches the API"
        )
    ipc = service.get("ipc")
    if ipc is not None and ipc.text() == "host":
        report.add(IPC_HOST, ipc.place, "shm_size: 16g does the same without opening the node's memory")
    privileged = service.get("privileged")
    if privileged is not None and privileged.text() == "true":
        report.add(PRIVILEGED, privileged.place, "privileged is not needed")
    restart = service.get("restart")
    if restart is not None and container.spans_nodes and (restart.text() or "no").split(":")[0] != "no":
        fix = Fix("restart nothing alone", (restart.replace('"no"'),))
        report.add(RESTART, restart.place, f"restart: {restart.text()} restarts this rank alone", fix)
    if service.get("logging") is None:
        report.add(LOG, container.place, "the log grows without a limit; logging.options.max-size")
    if service.get("healthcheck") is None and container.role != "worker":
        report.add(READINESS, container.place, "no healthcheck: `up --wait` does not wait for the model")
