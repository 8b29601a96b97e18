"""Files of the controller that a description names and that are not there (yet)."""

from __future__ import annotations

from pathlib import Path

from nimctl.cluster import Cluster


def missing(cluster: Cluster) -> list[str]:
    """One remark for each; no problem, because a description is also checked where its files are not."""
    folder = cluster.file.parent if cluster.file else Path.cwd()
    connection = cluster.connection
    named = [("connection.key", connection.key), ("connection.known_hosts", connection.known_hosts)]
    named += [
        (f"the ca of registry {registry.host}", registry.ca)
        for registry in cluster.stack.container_engine.registries
    ]
    return [
        f"{what}: there is no file {folder / Path(path).expanduser()} on this machine; a run needs it"
        for what, path in named
        if path and not (folder / Path(path).expanduser()).is_file()
    ]
