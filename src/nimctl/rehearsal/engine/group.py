"""How ranks find each other: workers come to the leader, then every rank is joined to every other.

The leader listens at the rendezvous port. A worker says who it is and what it takes the group to be; the
leader refuses what does not fit and tells everybody to start once all have come. From then on the port
answers that the group is complete: a rank that was restarted alone waits until its leader is restarted too.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LinkLostError, RankError
from .launch import Launch
from .log import log
from .net import dial, is_local, join_host_port, listen, prepare
from .settings import Settings
from .wire import Link

_HELLO_LIMIT = 65536
_HELLO_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_REMIND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Group:
    """A complete group as one rank sees it; ``links`` has a connection to every other rank."""

    rank: int
    nodes: int
    tensor: int
    pipeline: int
    settings: Settings
    links: Mapping[int, Link]
    hosts: Mapping[int, tuple[str, str]]


@dataclass(slots=True)
class _Member:
    link: Link
    hostname: str
    address: str
    port: int


def image_version() -> str:
    """A short digest of the engine's own files: ranks from different images do not mix."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class Rendezvous:
    """The leader's side."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._identity = {**launch.identity, "image": image_version()}
        self._members: dict[int, _Member] = {}
        self._changed = threading.Condition()
        self._complete = False
        self._listener: socket.socket | None = None
        if launch.nodes == 1:
            return
        where = join_host_port(launch.leader, launch.rendezvous_port)
        try:
            if not is_local(launch.leader):
                raise RankError(
                    f"the leader address {launch.leader} is no address of this machine "
                    f"({socket.gethostname()}), but this is rank 0: either the rank or the address is wrong"
                )
            self._listener = listen("", launch.rendezvous_port)
        except OSError as error:
            raise RankError(f"cannot listen for the other ranks at {where}: {error}") from error
        threading.Thread(target=self._accept, daemon=True, name="rendezvous").start()
        log.info("waiting for %d more ranks at %s", launch.nodes - 1, where)

    def gather(self) -> Group:
        """Wait for every rank and start the group; raises RankError when one does not come in time."""
        launch = self.launch
        limit = launch.settings.join_seconds
        deadline = time.monotonic() + limit
        with self._changed:
            while missing := self._missing():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise RankError(
                        f"timed out after {limit:g} s waiting for rank {', '.join(map(str, missing))} "
                        f"of {launch.nodes} to join"
                    )
                if not self._changed.wait(min(remaining, _REMIND_SECONDS)):
                    log.info("still waiting for rank %s of %d", ", ".join(map(str, missing)), launch.nodes)
            self._complete = True
        token = secrets.token_hex(8)
        peers = [[rank, member.address, member.port] for rank, member in sorted(self._members.items())]
        for rank, member in self._members.items():
            start = {
                "rank": rank,
                "nodes": launch.nodes,
                "tensor": launch.tensor,
                "pipeline": launch.pipeline,
                "settings": launch.settings.model_identity,
                "token": token,
                "peers": peers,
            }
            try:
                member.link.send_json(start)
            except LinkLostError as error:
                raise RankError(f"rank {rank} was lost before the group could start: {error}") from error
        hosts = {rank: (member.hostname, member.address) for rank, member in self._members.items()}
        hosts[0] = (socket.gethostname(), launch.address or launch.leader)
        links = {rank: member.link for rank, member in self._members.items()}
        return Group(0, launch.nodes, launch.tensor, launch.pipeline, launch.settings, links, hosts)

    def _missing(self) -> list[int]:
        for rank, member in list(self._members.items()):
            if member.link.gone():
                log.warning("rank %d went away before the group was complete", rank)
                del self._members[rank]
        return [rank for rank in range(1, self.launch.nodes) if rank not in self._members]

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            connection, address = self._listener.accept()
            threading.Thread(target=self._admit, args=(connection, address[0]), daemon=True).start()

    def _admit(self, connection: socket.socket, address: str) -> None:
        prepare(connection)
        link = Link(connection, -1)
        address = address.removeprefix("::ffff:")
        try:
            link.deadline = time.monotonic() + _HELLO_SECONDS
            hello = link.receive_json(_HELLO_LIMIT)
            if not isinstance(hello, dict) or "identity" not in hello:
                raise LinkLostError(-1, "sent no greeting")
            refusal = self._consider(hello, link, address)
            if refusal:
                link.send_json(refusal)
                link.close()
        except (LinkLostError, TypeError, ValueError, KeyError) as error:
            log.warning("a connection from %s was no rank of this group: %s", address, error)
            link.close()

    def _consider(self, hello: Mapping[str, Any], link: Link, address: str) -> dict[str, str] | None:
        with self._changed:
            if self._complete:
                return {"busy": "its group is complete"}
            rank = hello["rank"]
            if rank is None:
                rank = next(iter(self._missing()), 0)
            where = f"{hello['hostname']} ({address})"
            fault = self._fault(rank, hello["identity"])
            if fault:
                log.error("refused a rank from %s: %s", where, fault)
                return {"error": fault}
            link.peer = rank
            link.deadline = None
            self._members[rank] = _Member(link, hello["hostname"], hello["address"] or address, hello["port"])
            link.send_json({"joined": rank})
            log.info("rank %d of %d joined from %s", rank, self.launch.nodes, where)
            self._changed.notify_all()
            return None

    def _fault(self, rank: int, identity: Mapping[str, object]) -> str:
        if not 0 < rank < self.launch.nodes:
            return (
                f"rank {rank} is not between 1 and {self.launch.nodes - 1}, in a group of {self.launch.nodes}"
            )
        for key, value in self._identity.items():
            theirs = identity.get(key, value)
            if theirs != value:
                return f"rank {rank} has {key}={theirs!r}, but the leader has {key}={value!r}"
        other = self._members.get(rank)
        if other and not other.link.gone():
            where = f"{other.hostname} ({other.address})"
            return f"rank {rank} has already joined from {where}: two ranks have one number"
        return ""


def join(launch: Launch) -> Group:
    """The worker's side: come to the leader, wait until all have come, connect to the other workers.

    Raises RankError when the leader refuses or nobody answers before the deadline.
    """
    with listen("", 0) as listener:
        link, start = _come(launch, listener.getsockname()[1])
        rank = start["rank"]
        links = {0: link}
        deadline = time.monotonic() + launch.settings.join_seconds
        peers = {peer: (address, port) for peer, address, port in start["peers"]}
        for peer in range(1, rank):
            address, port = peers[peer]
            try:
                links[peer] = Link(dial(address, port, _HELLO_SECONDS), peer)
                links[peer].send_json({"rank": rank, "token": start["token"]})
            except (OSError, LinkLostError) as error:
                where = join_host_port(address, port)
                raise RankError(f"rank {rank} cannot connect to rank {peer} at {where}: {error}") from error
        while len(links) < start["nodes"] - 1:
            missing = [peer for peer in peers if peer > rank and peer not in links]
            listener.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                raise RankError(f"rank {rank} heard nothing from rank {missing} in time") from None
            prepare(connection)
            other = Link(connection, -1)
            try:
                other.deadline = time.monotonic() + _HELLO_SECONDS
                greeting = other.receive_json(_HELLO_LIMIT)
                other.deadline = None
                if greeting["token"] == start["token"] and greeting["rank"] in missing:
                    other.peer = greeting["rank"]
                    links[other.peer] = other
            except (LinkLostError, KeyError, TypeError):
                other.close()
    settings = Settings(**{**_local(launch.settings), **start["settings"]})
    return Group(rank, start["nodes"], start["tensor"], start["pipeline"], settings, links, {})


def _local(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


def _come(launch: Launch, port: int) -> tuple[Link, dict[str, Any]]:
    where = join_host_port(launch.leader, launch.rendezvous_port)
    hello = {
        "rank": launch.rank,
        "identity": {**launch.identity, "image": image_version()},
        "hostname": socket.gethostname(),
        "address": launch.address,
        "port": port,
    }
    limit = launch.settings.join_seconds
    deadline = time.monotonic() + limit
    trouble = ""
    log.info("joining the leader at %s", where)
    while time.monotonic() < deadline:
        link = None
        try:
            link = Link(dial(launch.leader, launch.rendezvous_port, min(5.0, limit)), 0)
            link.send_json(hello)
            link.deadline = deadline
            answer = link.receive_json()
            if "error" in answer:
                raise RankError(f"the leader at {where} refused this rank: {answer['error']}")
            if "joined" in answer:
                log.info("joined the leader as rank %d, waiting for the others", answer["joined"])
                start: dict[str, Any] = link.receive_json()
                link.deadline = None
                return link, start
            reason = f"{answer.get('busy', 'it gave a strange answer')}, waiting until it starts again"
        except (OSError, LinkLostError) as error:
            reason = str(error)
        if link:
            link.close()
        if reason != trouble:
            log.warning("the leader at %s does not take this rank yet: %s", where, reason)
            trouble = reason
        time.sleep(_RETRY_SECONDS)
    trouble = trouble or "the others did not come"
    raise RankError(f"timed out after {limit:g} s trying to join the leader at {where}: {trouble}")
