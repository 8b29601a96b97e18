"""What is measured: an endpoint by its URL, or a deployment of a description, and what is known of it."""

from __future__ import annotations

import os
import stat
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import httpx

from nimctl.bench.result import Setup
from nimctl.errors import RejectedError
from nimctl.image import parse
from nimctl.resolve.shape import Machine, on_given_nodes
from nimctl.run.target import Endpoint, Target


@dataclass(frozen=True, slots=True)
class Subject:
    """One endpoint, without ``/v1``; ``model`` is the name to ask for, empty where it has to be looked up."""

    url: str
    model: str
    setup: Setup
    deployment: str | None = None
    replica: int | None = None


def address(text: str) -> str:
    """A URL as the user writes it, as the part before ``/v1``.

    Raises:
        RejectedError: it is none, or it carries a password.
    """
    parts = urllib.parse.urlsplit(text)
    try:
        httpx.URL(text)
    except httpx.InvalidURL as error:
        raise RejectedError(f"--url {text} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or len(text.split()) != 1:
        raise RejectedError(f"--url {text} is no URL; expected one such as http://gpu01:8000")
    if parts.username or parts.password:
        raise RejectedError(
            "--url carries a user or a password, which every user of this machine can see; use --api-key-env "
            "or --api-key-file"
        )
    if parts.query or parts.fragment:
        raise RejectedError(f"--url {text} ends in a query; expected the address alone")
    return urllib.parse.urlunsplit(
        (parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1").rstrip("/"), "", "")
    )


def of_description(target: Target, deployment: str | None, replica: int) -> Subject:
    """The leader of one replica, and what the description says about it.

    Raises:
        RejectedError: there is no such deployment or replica, or it does not say which.
    """
    names = [item.name for item in target.placement.cluster.deployments]
    if deployment is None and len(names) != 1:
        known = f"name one: {', '.join(names)}" if names else "the description has none"
        raise RejectedError(f"Which deployment? {known}")
    endpoints = target.endpoints(deployment)
    found = next((item for item in endpoints if item.replica == replica), None)
    if found is None:
        raise RejectedError(
            f"{endpoints[0].deployment} has {len(endpoints)} replicas, from 0; there is no replica {replica}"
            if endpoints
            else f"{deployment or names[0]} has no replica that is placed"
        )
    return Subject(found.url, found.model, _setup(target, found), found.deployment, found.replica)


def _setup(target: Target, endpoint: Endpoint) -> Setup:
    described = next(
        item for item in target.placement.cluster.deployments if item.name == endpoint.deployment
    )
    ranks = [rank for rank in target.ranks(endpoint.deployment) if rank.replica == endpoint.replica]
    node = target.nodes[endpoint.node]
    gpus = len(ranks[0].gpus)
    split = on_given_nodes(described.parallel, len(ranks), Machine(node.gpu_count), gpus or None)
    return Setup(
        system=node.gpu_model,
        model=described.model,
        backend=described.engine,
        backend_version=parse(described.image).tag,
        precision=described.precision,
        nodes=len(ranks),
        gpus_per_node=gpus or None,
        tp=split.tensor,
        pp=split.pipeline,
    )


def api_key(variable: str | None, file: Path | None) -> str | None:
    """The API key from where the user says it is; never from an argument, which others could see.

    Raises:
        RejectedError: it is not there, or everybody on this machine can read it.
    """
    if variable and file:
        raise RejectedError("--api-key-env and --api-key-file are two keys; give one")
    if variable:
        value = os.environ.get(variable, "").strip()
        if not value:
            raise RejectedError(f"--api-key-env {variable}: the environment variable {variable} is not set")
        return value
    if file is None:
        return None
    try:
        mode = file.stat().st_mode
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RejectedError(f"--api-key-file {file}: cannot be read: {reason}") from None
    if mode & stat.S_IROTH:
        raise RejectedError(f"--api-key-file {file}: everybody can read it; run chmod 600 {file}")
    if not value:
        raise RejectedError(f"--api-key-file {file}: it is empty")
    return value
