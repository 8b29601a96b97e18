"""One compose file for each node, from the options of the same ranks' ``docker run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nimctl.placement import Mount, Placement, Rank
from nimctl.render.files import header
from nimctl.render.nodes import by_node, container, log_options, secret_files, title
from nimctl.resolve import check_runnable
from nimctl.yamltext import write

FILE = "compose.yaml"

# Keys of a compose service by option of `docker run`; lists take every value.
_TEXTS = {"--network": "network_mode", "--shm-size": "shm_size", "--ipc": "ipc"}
_LISTS = {"--device": "devices", "--cap-add": "cap_add", "--security-opt": "security_opt", "-p": "ports"}


def render(placement: Placement) -> dict[str, str]:
    """``NODE/compose.yaml`` for each node, by path.

    Raises:
        RejectedError: a deployment may only be shown.
    """
    check_runnable(placement)
    return {f"{node}/{FILE}": _file(placement, node, ranks) for node, ranks in by_node(placement).items()}


def _file(placement: Placement, node: str, ranks: Sequence[Rank]) -> str:
    cluster = placement.cluster.name
    prepare = sorted(
        {
            f"install -d -m 0755 -o {mount.owner} -g {mount.owner} {mount.source}"
            for rank in ranks
            for mount in rank.mounts
            if mount.owner is not None and not mount.read_only
        }
    )
    secrets = sorted({file for rank in ranks for file in secret_files(placement, rank)})
    head = header(
        cluster,
        f"For node {node}: `docker compose up --detach --wait`, on the nodes of leaders first.",
        "No rank is restarted alone, because that leaves a group that hangs: restart all of a replica.",
        *(f"Once, before the first start: {line}" for line in prepare),
        *(f"{file} must be there: mode 0600, one line NAME=value." for file in secrets),
    )
    services = {rank.name: _service(placement, rank) for rank in ranks}
    return head + write(
        {"name": f"{cluster}-{node}".lower().replace(".", "-"), "services": _escaped(services)}
    )


def _service(placement: Placement, rank: Rank) -> dict[str, Any]:
    service: dict[str, Any] = {
        "labels": {"nimctl.rank": title(rank)},
        "container_name": container(rank),
        "image": rank.image,
        "restart": "no",
        "stop_grace_period": f"{rank.stop_timeout}s",
        "logging": {"options": log_options(placement)},
        **_options(rank),
    }
    if rank.mounts:
        service["volumes"] = [_volume(mount) for mount in rank.mounts]
    files = secret_files(placement, rank)
    if files:
        service["env_file"] = files
    service["environment"] = dict(rank.environment)
    if rank.command:
        service["command"] = list(rank.command)
    if rank.health is not None:
        service["healthcheck"] = _healthcheck(rank)
    return service


def _options(rank: Rank) -> dict[str, Any]:
    """Keys of the service that say what the options of ``docker run`` say."""
    found: dict[str, Any] = {}
    for flag, value in _pairs(rank.options):
        if flag in _TEXTS:
            found[_TEXTS[flag]] = value
        elif flag in _LISTS:
            found.setdefault(_LISTS[flag], []).append(value)
        elif flag == "--ulimit":
            name, _, limit = value.partition("=")
            found.setdefault("ulimits", {})[name] = int(limit)
        elif flag == "--entrypoint":
            found["entrypoint"] = [value]
        elif flag == "--gpus":
            device = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
            found["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
        elif flag not in ("--volume", "-v"):
            raise ValueError(f"no key of compose is known for {flag}")
    return found


def _pairs(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options and their values, written as one word or as two."""
    rest = iter(options)
    for word in rest:
        flag, joined, value = word.partition("=")
        yield flag, value if joined else next(rest)


def _volume(mount: Mount) -> dict[str, Any]:
    # A source that is missing is an error: the engine would make an empty folder that belongs to root.
    entry: dict[str, Any] = {"type": "bind", "source": mount.source, "target": mount.target}
    if mount.read_only:
        entry["read_only"] = True
    return {**entry, "bind": {"create_host_path": False}}


def _healthcheck(rank: Rank) -> dict[str, Any]:
    health = rank.health
    assert health is not None
    # Each of these images has Python; curl is not in all of them.
    ask = f"import urllib.request as r; r.urlopen('http://localhost:{health.port}{health.path}', timeout=5)"
    return {
        "test": ["CMD", "python3", "-c", ask],
        "start_period": f"{health.deadline}s",
        "interval": "10s",
        "timeout": "10s",
        "retries": 3,
    }


def _escaped(value: Any) -> Any:
    """Compose replaces ``$X`` in every text; ``$$`` is a dollar sign."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_escaped(entry) for entry in value]
    return value
