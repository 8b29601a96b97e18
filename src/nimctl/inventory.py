"""The inventory of a cluster: what Ansible and every verb work from.

``compose`` writes the shape of ``ansible-inventory --list --export``: groups with hosts, children and vars,
and ``_meta.hostvars``. All literal, flat and sorted, JSON types only, so that the difference of two
inventories reads as a plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nimctl.cluster import Cluster, Node
from nimctl.contracts import load_contracts
from nimctl.description import examine, locate
from nimctl.errors import DescriptionError, Problem
from nimctl.lock import read_lock
from nimctl.placement import Placement, Rank
from nimctl.resolve import PlacementError, resolve
from nimctl.resolve.spelling import Spelling
from nimctl.stack import versions
from nimctl.stack.inventory import LAYER_GROUPS, has_nvswitch, layer_members, layer_variables

EVERYONE = "nim_cluster_nodes"
GROUPS = (
    "gpu_nodes",
    "lustre_clients",
    "nfs_clients",
    "nim_absent_nodes",
    "nim_bundle_receivers",
    *LAYER_GROUPS,
    "nim_leaders",
    "nim_nodes",
    "nim_rollout",
    "nim_workers",
    "nvswitch_nodes",
    "rdma_nodes",
    "storage_servers",
)
"""Groups that always exist, also when nothing is in them."""


def folder_of(path: Path) -> Path:
    """The folder of a description that was given as a folder or as its file."""
    return path if path.is_dir() else path.parent


def read(path: Path, spelling: Spelling | None = None) -> Placement:
    """Load a description, its lock and its contracts, and place every rank.

    ``path`` is the folder or its ``cluster.yml``; ``spelling`` as in ``resolve``. Raises DescriptionError
    with all problems located.
    """
    examined = examine(path)
    problems = list(examined.problems)
    cluster = examined.cluster
    if cluster is None:
        raise DescriptionError(problems)
    folder = folder_of(path)
    try:
        contracts = load_contracts(folder)
        lock = read_lock(folder)
    except DescriptionError as error:
        raise DescriptionError([*problems, *error.problems]) from error
    try:
        placement = resolve(cluster, lock, contracts, spelling)
    except PlacementError as error:
        known = {problem.field[:3] for problem in problems}
        more = [problem for problem in error.problems if problem.field[:3] not in known]
        raise DescriptionError(_in_order([*problems, *locate(cluster, more).problems])) from error
    if problems:
        raise DescriptionError(problems)
    return placement


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def compose(placement: Placement) -> dict[str, Any]:
    """The inventory of a placement, in the shape of ``ansible-inventory --list --export``."""
    cluster = placement.cluster
    ranks = _ranks_by_node(placement)
    members = _members(cluster, placement)
    inventory: dict[str, Any] = {"_meta": {"hostvars": {}}}
    top = {"ungrouped", EVERYONE, *members} - {"nim_absent_nodes", "nim_nodes"}
    inventory["all"] = {"children": sorted(top)}
    inventory[EVERYONE] = {
        "children": ["nim_absent_nodes", "nim_nodes"],
        "vars": group_variables(cluster, placement.stack),
    }
    for group in sorted(members):
        inventory[group] = {"hosts": members[group]} if members[group] else {}
    hostvars = inventory["_meta"]["hostvars"]
    first = first_node(cluster)
    for node in cluster.nodes:
        variables = _host_variables(node, ranks.get(node.name, []))
        if node.name == first:
            # As a variable of the group, whoever lists the inventory would repeat it for every node.
            variables["nim_cluster_addresses"] = addresses(cluster)
        hostvars[node.name] = dict(sorted(variables.items()))
    return inventory


def _ranks_by_node(placement: Placement) -> Mapping[str, list[Rank]]:
    ranks: dict[str, list[Rank]] = defaultdict(list)
    for rank in placement.ranks:
        ranks[rank.node].append(rank)
    return ranks


def group_name(text: str) -> str:
    """A deployment's name as part of a group's."""
    return text.replace("-", "_")


def _members(cluster: Cluster, placement: Placement) -> dict[str, list[str]]:
    """The nodes of every group, in the order of the description."""
    known = versions.load()
    present = [node for node in cluster.nodes if not node.absent]
    names = [node.name for node in present]
    kinds = {storage.kind for storage in cluster.storage}
    servers = {storage.server for storage in cluster.storage if storage.kind == "nfs"}
    members: dict[str, list[str]] = {
        "gpu_nodes": [node.name for node in present if node.gpu_count],
        "lustre_clients": names if "lustre" in kinds else [],
        "nfs_clients": [name for name in names if name not in servers] if "nfs" in kinds else [],
        "nim_absent_nodes": [node.name for node in cluster.nodes if node.absent],
        "nim_nodes": names,
        # Filled by a run that takes nodes out of service one batch after another.
        "nim_bundle_receivers": [],
        "nim_rollout": [],
        "nvswitch_nodes": [node.name for node in present if has_nvswitch(cluster, node, known)],
        "rdma_nodes": [
            node.name for node in present if node.fabric and node.fabric.kind in {"infiniband", "roce"}
        ],
        "storage_servers": [name for name in names if name in servers],
    }
    leaders: set[str] = set()
    workers: set[str] = set()
    for deployment in cluster.deployments:
        members[f"nim_deployment_{group_name(deployment.name)}"] = []
    for rank in placement.ranks:
        (workers if rank.rank else leaders).add(rank.node)
        deployment_group = members[f"nim_deployment_{group_name(rank.deployment)}"]
        deployment_group.append(rank.node)
        replica = f"nim_replica_{group_name(rank.deployment)}_{rank.replica}"
        members.setdefault(replica, []).append(rank.node)
    members["nim_leaders"] = [name for name in names if name in leaders]
    members["nim_workers"] = [name for name in names if name in workers]
    members.update(layer_members(cluster, leaders | workers))
    return members


def group_variables(
    cluster: Cluster, locked: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """Settings of the whole cluster, as variables of one group: group_vars and host_vars win over them."""
    folder = cluster.file.parent.absolute() if cluster.file else Path.cwd()
    engine = cluster.stack.container_engine
    variables: dict[str, Any] = {
        "container_engine_daemon": engine.daemon,
        "container_engine_log_max_files": engine.log_max_files,
        "container_engine_log_max_size": engine.log_max_size,
        "container_engine_mode": engine.mode,
        "container_engine_name": engine.engine,
        "container_engine_proxy": {
            "http": engine.proxy.http or "" if engine.proxy else "",
            "https": engine.proxy.https or "" if engine.proxy else "",
            "no_proxy": list(engine.proxy.no_proxy) if engine.proxy else [],
        },
        "container_engine_registries": [
            {
                "ca": _absolute(folder, registry.ca) if registry.ca else "",
                "host": registry.host,
                "insecure": registry.insecure,
                "mirrors": list(registry.mirrors),
            }
            for registry in engine.registries
        ],
        "container_engine_source": engine.source,
        "nim_cluster": cluster.name,
        "nim_first_node": first_node(cluster),
        "nim_rank_registry_logins": registry_logins(cluster),
        "nim_secrets": {
            name: {
                kind: _absolute(folder, value) if kind == "file" else value
                for kind, value in (("env", source.env), ("file", source.file), ("vault", source.vault))
                if value is not None
            }
            for name, source in sorted(cluster.secrets.items())
        },
    }
    variables.update(layer_variables(cluster, locked or {}, folder))
    variables.update(_connection(cluster, folder))
    return dict(sorted(variables.items()))


def first_node(cluster: Cluster) -> str:
    """The node that carries the variables which say something of all nodes."""
    return next((node.name for node in cluster.nodes if not node.absent), cluster.nodes[0].name)


def addresses(cluster: Cluster) -> dict[str, list[str]]:
    """Where each node of the cluster is found, by name: its address, then that on the fabric."""
    return {
        node.name: list(dict.fromkeys((node.address, node.rank_address)))
        for node in sorted(cluster.nodes, key=lambda node: node.name)
        if not node.absent
    }


def _absolute(folder: Path, path: str) -> str:
    return str(folder / Path(path).expanduser())


def _connection(cluster: Cluster, folder: Path) -> dict[str, Any]:
    connection = cluster.connection
    variables: dict[str, Any] = {"ansible_become": connection.become}
    if connection.user is not None:
        variables["ansible_user"] = connection.user
    if connection.port is not None:
        variables["ansible_port"] = connection.port
    if connection.key is not None:
        variables["ansible_ssh_private_key_file"] = _absolute(folder, connection.key)
    arguments = []
    if connection.known_hosts is not None:
        arguments.append(f"-o UserKnownHostsFile={_ssh_word(_absolute(folder, connection.known_hosts))}")
    if connection.proxy is not None:
        arguments.append(f"-o ProxyJump={connection.proxy}")
    if arguments:
        variables["ansible_ssh_common_args"] = " ".join(arguments)
    return variables


def _ssh_word(path: str) -> str:
    """A path as ssh and the shell-like splitting of ansible_ssh_common_args both take it."""
    return f"'\"{path}\"'" if " " in path else path


def registry_logins(cluster: Cluster) -> list[dict[str, str]]:
    """Which registries want a login: those with a password, and nvcr.io where the NGC key is described."""
    logins = [
        {"host": registry.host, "secret": registry.password, "username": registry.username}
        for registry in cluster.stack.container_engine.registries
        if registry.password is not None
    ]
    if "ngc_api_key" in cluster.secrets and all(login["host"] != "nvcr.io" for login in logins):
        logins.append({"host": "nvcr.io", "secret": "ngc_api_key", "username": "$oauthtoken"})
    return sorted(logins, key=lambda login: login["host"])


def _host_variables(node: Node, ranks: Sequence[Rank]) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "ansible_host": node.address,
        "nim_address": node.address,
        "nim_gpu_count": node.gpu_count,
        "nim_gpu_model": node.gpu_model or "",
        "nim_rank_address": node.rank_address,
        "nim_ranks": [rank_variables(rank) for rank in ranks],
    }
    if node.fabric is not None:
        variables["nim_fabric"] = {
            "address": node.fabric.address or "",
            "hcas": list(node.fabric.hcas),
            "interface": node.fabric.interface or "",
            "kind": node.fabric.kind,
            "ports": node.fabric.ports,
            "rate": node.fabric.rate,
        }
    else:
        variables["nim_fabric"] = {}
    return variables


def rank_variables(rank: Rank) -> dict[str, Any]:
    """One entry of ``nim_ranks``."""
    health: dict[str, Any] = {}
    if rank.health is not None:
        health = {"deadline": rank.health.deadline, "path": rank.health.path, "port": rank.health.port}
    return {
        "address": rank.address,
        "api_port": rank.api_port,
        "command": list(rank.command),
        "deployment": rank.deployment,
        "environment": dict(rank.environment),
        "gpus": list(rank.gpus),
        "health": health,
        "image": rank.image,
        "leader": rank.leader,
        "leader_address": rank.leader_address,
        "mounts": [
            {
                "owner": mount.owner,
                "read_only": mount.read_only,
                "source": mount.source,
                "target": mount.target,
            }
            for mount in rank.mounts
        ],
        "name": rank.name,
        "nodes": rank.nodes,
        "options": list(rank.options),
        "ports": dict(sorted(rank.ports.items())),
        "rank": rank.rank,
        "replica": rank.replica,
        "requires_mounts": list(rank.requires_mounts),
        "secrets": list(rank.secrets),
        "spec": rank.spec,
        "stop_timeout": rank.stop_timeout,
        "supervision": supervision_variables(rank),
    }


def supervision_variables(rank: Rank) -> dict[str, Any]:
    """How a rank is supervised; empty where it is not."""
    supervision = rank.supervision
    if supervision is None:
        return {}
    if rank.rank:
        return {"leader": rank.leader, "port": supervision.port}
    return {
        "counters": list(supervision.counters),
        "expected": dict(sorted(supervision.expected.items())),
        "handshake": supervision.handshake,
        "leader": rank.leader,
        "members": list(supervision.members),
        "paths": list(supervision.paths),
        "port": supervision.port,
        "silent": supervision.silent,
    }
