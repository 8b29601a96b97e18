#!/usr/bin/python3
"""Keep the ranks of one replica together: when one of them is lost, all start again, rank 0 first.

One of these runs beside every rank, with the standard library of Python 3.9 alone. The one beside rank 0
leads: it owns the generation, a number that grows each time the replica starts. The others ask it every
second over TCP, prove with a key that they may, say how their rank is, and do as it answers: stop for a
generation, start in it. A worker that hears nothing for a lease stops its rank, so nobody needs to reach it
to stop it.

``Leader``, ``Worker`` and ``Pulse`` decide; they have no clock and touch nothing. The rest carries out.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICK = 0.5
"""Seconds between two looks at the rank."""
EXCHANGE = 1.0
"""Seconds between two questions of a worker to its leader."""
GRACE = 3.0
"""Seconds after an order to start, before a rank that is down counts as ended."""
BLIND = 8
"""How many times as patient to be with an engine that has no counters."""
LINE = 8192
"""Bytes of a message at most."""
LARGEST = 4 * 1024 * 1024
"""Bytes of an answer of the engine at most."""


# --- what is decided from -------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """How patient to be, in seconds where nothing else is said.

    ``lease``: how long a member may be silent. ``deadline``: from a start to the first completion.
    ``quiet``: how long a serving replica may make no progress before it is asked for a token. ``patience``:
    how long one such answer may take. ``misses``: unanswered questions, with no progress meanwhile, that make
    a silent replica. ``attempts``: restarts without ``stable`` seconds of service in between, after which a
    person is needed.
    """

    lease: float = 15.0
    deadline: float = 1800.0
    quiet: float = 45.0
    patience: float = 15.0
    misses: int = 4
    attempts: int = 6
    stable: float = 600.0
    backoff: float = 5.0
    longest_backoff: float = 300.0


@dataclass(frozen=True)
class Own:
    """The unit of the rank beside this supervisor: whether it is up, and which start of it this is."""

    up: bool
    invocation: str = ""


@dataclass(frozen=True)
class Report:
    """What a worker said last, and when."""

    at: float
    generation: int
    up: bool
    ended: bool
    invocation: str = ""


@dataclass(frozen=True)
class Signs:
    """What the engine shows at rank 0.

    ``ready``: its health check answers 200. ``progress``: sum of counters that only grow while it works; None
    where it gives none. ``answered``: the outcome of a completion that was asked for; None while it is open.
    ``published``: the address that rank 0 gave out for its workers, where its contract has it do so.
    """

    ready: bool = False
    progress: float | None = None
    answered: bool | None = None
    published: Mapping[str, str] | None = None


@dataclass
class Orders:
    """What to do now."""

    start: bool = False
    kill: bool = False
    ask: float = 0.0
    """How many seconds to wait for a completion that is asked for now; 0 for none."""


# --- decisions ------------------------------------------------------------------------------------


class Pulse:
    """Whether a serving replica is alive. Its health check proves nothing: it answers 200 over a hung engine.

    Any progress, of whichever request, is a sign of life, so that a replica which is busy is never taken for
    a dead one, however long a question waits in its queue. Without progress it is asked for one token.
    """

    def __init__(self, rules: Rules, now: float) -> None:
        self.rules = rules
        self.alive = now
        self.misses = 0
        self._progress: float | None = None
        self._asked = False

    def step(self, now: float, signs: Signs) -> tuple[float, str]:
        """How long to wait for a completion asked for now (0: none), and why the replica counts as silent."""
        if signs.progress is not None and signs.progress != self._progress:
            self._progress, self.alive, self.misses = signs.progress, now, 0
        if signs.answered is not None:
            self._asked = False
            if signs.answered:
                self.alive, self.misses = now, 0
            else:
                self.misses += 1
        # Without counters nobody can tell a long queue from a dead engine: the question waits in it too.
        patience = self.rules.patience * (1 if self._progress is not None else BLIND)
        silent = now - self.alive
        if self.misses >= self.rules.misses:
            return 0.0, f"no token for {silent:.0f} s, and {self.misses} requests for one were not answered"
        if not self._asked and silent >= self.rules.quiet + self.misses * patience:
            self._asked = True
            return patience, ""
        return 0.0, ""


@dataclass
class Leader:
    """Decides beside rank 0 for the whole replica. ``members`` are the nodes of the other ranks, by rank."""

    rules: Rules
    members: Mapping[int, str]
    handshake: Mapping[str, str] | None = None
    generation: int = 0
    phase: str = "gathering"
    since: float = 0.0
    invocation: str = ""
    attempts: int = 0
    restarts: int = 0
    reason: str = ""
    waits_for: list[str] = field(default_factory=list)
    not_before: float = 0.0
    _known: dict[int, str] = field(default_factory=dict)
    _pulse: Pulse | None = None
    _published: bool = False
    _asked: bool = False
    _resumed: float = 0.0

    KEPT = ("generation", "phase", "since", "invocation", "attempts", "restarts", "reason", "not_before")

    def resume(self, now: float, own: Own, kept: Mapping[str, Any]) -> None:
        """Carry on from what an earlier supervisor kept, if the rank it left is the one that runs."""
        for name in self.KEPT:
            if name in kept:
                setattr(self, name, kept[name])
        if self.phase == "exhausted":
            self.attempts = 0
        self._resumed = now
        same = own.up and own.invocation == self.invocation and self.phase in ("starting", "serving")
        if same and self.since <= now:
            self._pulse = Pulse(self.rules, now) if self.phase == "serving" else None
            return
        self.generation += 1
        self._enter("gathering", now)
        self.not_before = now

    @property
    def go(self) -> bool:
        """Whether workers are to run in this generation."""
        if self.phase == "starting":
            return bool(self.invocation) and (self.handshake is None or self._published)
        return self.phase == "serving"

    @property
    def state(self) -> str:
        """The replica's state in the words of people: starting, serving, restarting, degraded or failed."""
        if self.phase == "gathering":
            return "degraded" if self.waits_for else "restarting"
        return "failed" if self.phase == "exhausted" else self.phase

    def answer(self) -> dict[str, Any]:
        """What every worker is told."""
        return {"generation": self.generation, "go": self.go, "state": self.state}

    def tick(self, now: float, own: Own, reports: Mapping[int, Report], signs: Signs) -> Orders:
        """Decide what to do at ``now``, a number of seconds that never goes back."""
        absent = [rank for rank in self.members if not self._here(reports.get(rank), now)]
        self.waits_for = [self.members[rank] for rank in absent] if self.phase == "gathering" else []
        if self.phase == "exhausted":
            return Orders(kill=own.up)
        if self.phase == "gathering":
            return self._gather(now, own, reports, absent)
        fault = self._fault(now, own, reports, absent)
        if not fault:
            orders, fault = (self._starting if self.phase == "starting" else self._serving)(
                now, own, reports, signs
            )
            if not fault:
                return orders
        return self._restart(now, own, fault)

    def _here(self, report: Report | None, now: float) -> bool:
        heard = report.at if report is not None else float("-inf")
        if self.phase != "gathering":
            # To a supervisor that took over from another, members had no time yet to say anything.
            heard = max(heard, self._resumed)
        return now - heard <= self.rules.lease

    def _enter(self, phase: str, now: float) -> None:
        self.phase, self.since = phase, now
        self._known, self._pulse, self._published, self._asked = {}, None, False, False
        if phase != "serving":
            self.invocation = ""

    def _gather(self, now: float, own: Own, reports: Mapping[int, Report], absent: list[int]) -> Orders:
        if own.up:
            return Orders(kill=True)
        clear = all(
            not reports[rank].up and reports[rank].generation == self.generation
            for rank in self.members
            if rank not in absent
        )
        if absent or not clear or now < self.not_before:
            return Orders()
        self._enter("starting", now)
        return Orders(start=True)

    def _fault(self, now: float, own: Own, reports: Mapping[int, Report], absent: list[int]) -> str:
        """Which rank was lost, an empty text if none was."""
        if own.up:
            self.invocation = self.invocation or own.invocation
            if own.invocation != self.invocation:
                return "rank 0 was restarted by somebody else"
        elif self.invocation or now - self.since > GRACE:
            return "rank 0 ended"
        for rank in absent:
            return f"{self.members[rank]} was not heard of for {self.rules.lease:.0f} s (rank {rank})"
        for rank, node in self.members.items():
            report = reports.get(rank)
            if report is None or report.generation != self.generation:
                continue
            if report.ended:
                return f"rank {rank} on {node} ended"
            if report.up:
                known = self._known.setdefault(rank, report.invocation)
                if known != report.invocation:
                    return f"rank {rank} on {node} was restarted by somebody else"
        return ""

    def _starting(
        self, now: float, own: Own, reports: Mapping[int, Report], signs: Signs
    ) -> tuple[Orders, str]:
        if signs.published is not None and self.handshake is not None:
            if dict(signs.published) != dict(self.handshake):
                return Orders(), (
                    f"rank 0 gives its workers {_pairs(signs.published)}, but they are defined with "
                    f"{_pairs(self.handshake)}"
                )
            self._published = True
        complete = all(
            rank in reports and reports[rank].up and reports[rank].generation == self.generation
            for rank in self.members
        )
        if signs.answered is not None:
            self._asked = False
        # The first completion of an engine can take many times as long as later ones: it is part of a start.
        if signs.answered and complete and own.up:
            invocation = self.invocation
            self._enter("serving", now)
            self.invocation = invocation
            self._pulse = Pulse(self.rules, now)
            return Orders(), ""
        if now - self.since > self.rules.deadline:
            return Orders(), f"it did not serve within {self.rules.deadline:.0f} s of its start"
        if complete and signs.ready and not self._asked:
            self._asked = True
            return Orders(ask=max(self.rules.patience, 120.0)), ""
        return Orders(), ""

    def _serving(
        self, now: float, own: Own, reports: Mapping[int, Report], signs: Signs
    ) -> tuple[Orders, str]:
        assert self._pulse is not None
        if now - self.since > self.rules.stable:
            self.attempts = 0
        ask, silent = self._pulse.step(now, signs)
        return Orders(ask=ask), silent

    def _restart(self, now: float, own: Own, reason: str) -> Orders:
        self.generation += 1
        self.attempts += 1
        self.restarts += 1
        self.reason = reason
        exhausted = self.attempts > self.rules.attempts
        self._enter("exhausted" if exhausted else "gathering", now)
        wait = self.rules.backoff * 2 ** (self.attempts - 2) if self.attempts > 1 else 0.0
        self.not_before = now + min(wait, self.rules.longest_backoff)
        return Orders(kill=own.up)


@dataclass
class Worker:
    """Does beside another rank what the leader says, and stops the rank when it says nothing."""

    rules: Rules
    generation: int = 0
    started: float = -1.0
    ended: bool = False
    invocation: str = ""
    heard: float = 0.0
    state: str = "waiting"

    KEPT = ("generation", "started", "ended", "invocation")

    def resume(self, now: float, own: Own, kept: Mapping[str, Any]) -> None:
        """Carry on from what an earlier supervisor kept."""
        for name in self.KEPT:
            if name in kept:
                setattr(self, name, kept[name])
        self.heard = now
        if self.started >= 0 and not (own.up and own.invocation == self.invocation):
            self.ended = True

    def report(self, own: Own) -> dict[str, Any]:
        """What the leader is told."""
        return {
            "generation": self.generation,
            "up": own.up,
            "ended": self.ended,
            "invocation": own.invocation if own.up else "",
        }

    def tick(self, now: float, own: Own, answer: Mapping[str, Any] | None) -> Orders:
        """Decide what to do at ``now``; ``answer`` is the leader's last one, None if there is no new one."""
        if self.started >= 0:
            if own.up:
                self.invocation = self.invocation or own.invocation
            elif self.invocation or now - self.started > GRACE:
                self.ended = True
        if answer is None:
            if now - self.heard <= self.rules.lease:
                return Orders()
            self.state = "without leader"
            # What stops here has ended: should the leader have noticed nothing, it does now.
            self.ended = self.ended or self.started >= 0
            return Orders(kill=own.up)
        self.heard = now
        self.state = str(answer["state"])
        if answer["generation"] != self.generation:
            self.generation = int(answer["generation"])
            self.started, self.ended, self.invocation = -1.0, False, ""
        if not answer["go"] or self.ended:
            return Orders(kill=own.up)
        if self.started < 0:
            if own.up:
                return Orders(kill=True)
            self.started = now
            return Orders(start=True)
        return Orders()


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


# --- the link between leader and workers ----------------------------------------------------------


def sealed(key: bytes, nonce: str, direction: str, body: Mapping[str, Any]) -> bytes:
    """One message as a line: the body, and a proof that its sender has the key and saw this nonce."""
    text = json.dumps(body, sort_keys=True)
    proof = hmac.new(key, f"{nonce} {direction} {text}".encode(), hashlib.sha256).hexdigest()
    return f"{proof} {text}\n".encode()


def opened(key: bytes, nonce: str, direction: str, line: bytes) -> dict[str, Any]:
    """The body of a message; raises ValueError where the proof is not right."""
    proof, _, text = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
    wanted = hmac.new(key, f"{nonce} {direction} {text}".encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(proof.encode(), wanted.encode()):
        raise ValueError("the proof of the message is wrong: the two nodes have different keys")
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("the message is no object")
    return body


class Server(socketserver.ThreadingTCPServer):
    """Takes the reports of workers and answers them."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, port: int, key: bytes, replica: str) -> None:
        # On a node without IPv6, and on one that has nothing else.
        self.address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        super().__init__(("::" if self.address_family == socket.AF_INET6 else "0.0.0.0", port), Exchange)
        self.key, self.replica = key, replica
        self.reports: dict[int, Report] = {}
        self.answer: dict[str, Any] = {}

    def server_bind(self) -> None:
        """Take both families."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever knocks without a key is not worth a traceback."""
        say(f"a message from {client_address[0]} was not accepted: {sys.exc_info()[1]}")


class Exchange(socketserver.StreamRequestHandler):
    """One report and its answer."""

    timeout = 3
    server: Server

    def handle(self) -> None:
        """Challenge, read, answer."""
        nonce = secrets.token_hex(16)
        self.wfile.write(f"{nonce}\n".encode())
        body = opened(self.server.key, nonce, "report", self.rfile.readline(LINE))
        if body.get("replica") != self.server.replica:
            raise ValueError(f"it is from the replica {body.get('replica')}")
        self.server.reports[int(body["rank"])] = Report(
            at=time.monotonic(),
            generation=int(body["generation"]),
            up=bool(body["up"]),
            ended=bool(body["ended"]),
            invocation=str(body["invocation"]),
        )
        self.wfile.write(sealed(self.server.key, nonce, "answer", self.server.answer))


def exchange(address: str, port: int, key: bytes, report: Mapping[str, Any]) -> dict[str, Any]:
    """Tell the leader, and hear what to do. Raises OSError and ValueError."""
    with socket.create_connection((address, port), timeout=3) as link, link.makefile("rwb") as lines:
        nonce = lines.readline(LINE).decode("ascii", "replace").strip()
        if not nonce:
            raise ValueError("it closed the connection at once")
        lines.write(sealed(key, nonce, "report", report))
        lines.flush()
        return opened(key, nonce, "answer", lines.readline(LINE))


class Link(threading.Thread):
    """Asks the leader again and again, so that a slow network never keeps the rank from being watched."""

    def __init__(self, settings: Mapping[str, Any], key: bytes) -> None:
        super().__init__(daemon=True)
        self.settings, self.key = settings, key
        self.report: dict[str, Any] = {}
        self.error = ""
        self._answer: dict[str, Any] | None = None
        self._wake = threading.Event()

    def tell(self, report: Mapping[str, Any]) -> None:
        """Have this reported next; at once if it is news."""
        new = {**report, "replica": self.settings["replica"], "rank": self.settings["rank"]}
        news, self.report = new != self.report, new
        if news:
            self._wake.set()

    def take(self) -> dict[str, Any] | None:
        """The answer since the last call, if there was one."""
        answer, self._answer = self._answer, None
        return answer

    def run(self) -> None:
        """Exchange for ever."""
        while True:
            self._wake.wait(EXCHANGE)
            self._wake.clear()
            if not self.report:
                continue
            try:
                self._answer = exchange(
                    self.settings["leader_address"], self.settings["port"], self.key, self.report
                )
                self._hear("")
            except (OSError, ValueError) as error:
                self._hear(str(error))

    def _hear(self, error: str) -> None:
        if error != self.error:
            leader = self.settings["leader"]
            say(f"{leader} does not answer: {error}" if error else f"{leader} answers")
        self.error = error


# --- the rank and its engine ----------------------------------------------------------------------


class Unit:
    """The systemd unit of the rank."""

    def __init__(self, name: str, container: str, engine: str) -> None:
        self.name, self.container, self.engine = name, container, engine
        self._killed = 0.0

    def look(self) -> Own:
        """How it is."""
        done = subprocess.run(
            ["systemctl", "show", self.name, "--property=ActiveState,InvocationID"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        up = found["ActiveState"] not in ("inactive", "failed")
        return Own(up, found.get("InvocationID", "") if up else "")

    def start(self) -> None:
        """Have it started, without waiting: what it checks beforehand may take a minute."""
        _order(["systemctl", "reset-failed", self.name])
        _order(["systemctl", "start", "--no-block", self.name])

    def kill(self) -> None:
        """Have it ended at once. A rank whose group is gone has nothing to finish."""
        now = time.monotonic()
        if now - self._killed < 2:
            return
        self._killed = now
        _order([self.engine, "kill", self.container])
        _order(["systemctl", "stop", "--no-block", self.name])

    def published(self, invocation: str, pattern: str) -> dict[str, str] | None:
        """What the rank's log gives out by a pattern with named groups."""
        done = subprocess.run(
            ["journalctl", "--quiet", "--output=cat", f"_SYSTEMD_INVOCATION_ID={invocation}"],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
        )
        match = re.search(pattern, done.stdout)
        return match.groupdict() if match else None


def _order(words: list[str]) -> None:
    try:
        subprocess.run(words, check=False, capture_output=True, timeout=10)
    except subprocess.TimeoutExpired:
        say(f"{' '.join(words)}: no answer within 10 s")


class Engine:
    """The HTTP side of rank 0."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.outcome: bool | None = None
        self._thread: threading.Thread | None = None

    def ready(self) -> bool:
        """Whether the health check answers 200."""
        return self._get(self.settings["health"]["path"], 5)[0] == 200

    def progress(self) -> float | None:
        """The sum of the counters that show work."""
        names = tuple(self.settings["progress"]["counters"])
        for path in self.settings["progress"]["paths"]:
            status, text = self._get(path, 5)
            if status == 200:
                found = [
                    float(line.rpartition(" ")[2])
                    for line in text.splitlines()
                    if re.split(r"[{ ]", line, maxsplit=1)[0] in names
                ]
                return sum(found) if found else None
        return None

    def ask(self, patience: float) -> None:
        """Ask for one token; ``take`` has the outcome when there is one."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._ask, args=(patience,), daemon=True)
            self._thread.start()

    def take(self) -> bool | None:
        """Whether the completion that was asked for came; None while nothing is known."""
        outcome, self.outcome = self.outcome, None
        return outcome

    def _ask(self, patience: float) -> None:
        status, text = self._get("/v1/models", patience)
        try:
            model = json.loads(text)["data"][0]["id"] if status == 200 else ""
        except (ValueError, LookupError, TypeError):
            model = ""
        if model:
            message = [{"role": "user", "content": "Hello"}]
            status, _ = self._post(
                "/v1/chat/completions", {"model": model, "max_tokens": 1, "messages": message}, patience
            )
            if status in (400, 404, 405, 422):
                # A base model has no chat template.
                status, _ = self._post(
                    "/v1/completions", {"model": model, "max_tokens": 1, "prompt": "Hello"}, patience
                )
        # One that says "too many" is busy, not dead; others that refuse were at least not silent. A list of
        # models that is empty proves nothing.
        self.outcome = bool(model) and 0 < status < 500

    def _get(self, path: str, timeout: float) -> tuple[int, str]:
        return self._call("GET", path, None, timeout)

    def _post(self, path: str, body: Mapping[str, Any], timeout: float) -> tuple[int, str]:
        return self._call("POST", path, body, timeout)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float
    ) -> tuple[int, str]:
        # An engine may listen on the address of its rank alone.
        for host in dict.fromkeys(("127.0.0.1", self.settings["address"])):
            link = http.client.HTTPConnection(host, self.settings["health"]["port"], timeout=timeout)
            try:
                link.request(
                    method,
                    path,
                    None if body is None else json.dumps(body),
                    {} if body is None else {"Content-Type": "application/json"},
                )
                answer = link.getresponse()
                return answer.status, answer.read(LARGEST).decode("utf-8", "replace")
            except ConnectionRefusedError:
                continue
            except (OSError, http.client.HTTPException):
                return 0, ""
            finally:
                link.close()
        return 0, ""


# --- what is kept and shown -----------------------------------------------------------------------


def say(text: str) -> None:
    """One line for the journal."""
    print(text, flush=True)


def write(path: str, text: str) -> None:
    """Replace a file as a whole."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(target)


def kept(path: str) -> dict[str, Any]:
    """What the supervisor before this one kept."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


STATES = ("starting", "serving", "restarting", "degraded", "failed")


def metrics(settings: Mapping[str, Any], leader: Leader) -> str:
    """The replica's state for the textfile collector of the node exporter."""
    labels = ",".join(f'{name}="{settings[name]}"' for name in ("cluster", "deployment", "replica_index"))
    lines = [
        "# HELP nimctl_replica_state State of the replica: 1 for the one it is in.",
        "# TYPE nimctl_replica_state gauge",
    ]
    lines += [
        f'nimctl_replica_state{{{labels},state="{state}"}} {int(state == leader.state)}' for state in STATES
    ]
    for name, kind, what, value in (
        ("restarts_total", "counter", "Restarts of the whole replica.", leader.restarts),
        ("generation", "gauge", "Number of the present start.", leader.generation),
        ("ranks_absent", "gauge", "Ranks whose nodes are not heard of.", len(leader.waits_for)),
    ):
        lines += [f"# HELP nimctl_replica_{name} {what}", f"# TYPE nimctl_replica_{name} {kind}"]
        lines.append(f"nimctl_replica_{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"


def notify(message: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link, contextlib.suppress(OSError):
            link.connect("\0" + address[1:] if address.startswith("@") else address)
            link.sendall(message.encode())


class Keeper:
    """Writes what is kept and shown, when it changed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self._last = ""

    def save(self, party: Leader | Worker) -> None:
        """Keep what a later supervisor carries on from, and what status shows."""
        content = {name: getattr(party, name) for name in party.KEPT}
        content["state"] = party.state
        if isinstance(party, Leader):
            content["waits_for"] = party.waits_for
        text = json.dumps(content, sort_keys=True)
        if text == self._last:
            return
        since = (
            kept(self.settings["state"]).get("changed")
            if json.loads(self._last or "{}").get("state") == party.state
            else None
        )
        self._last = text
        write(
            self.settings["state"],
            json.dumps({**content, "changed": since or int(time.time())}, sort_keys=True) + "\n",
        )
        if isinstance(party, Leader) and self.settings.get("metrics"):
            write(self.settings["metrics"], metrics(self.settings, party))


# --- the loops ------------------------------------------------------------------------------------


def lead(settings: Mapping[str, Any], rules: Rules, unit: Unit, key: bytes) -> None:
    """Beside rank 0."""
    members = {int(rank): node for rank, node in settings["members"].items()}
    published = settings.get("handshake") or None
    leader = Leader(rules, members, published["expected"] if published else None)
    engine = Engine(settings)
    keeper = Keeper(settings)
    own = unit.look()
    leader.resume(time.monotonic(), own, kept(settings["state"]))
    try:
        server = Server(settings["port"], key, settings["replica"]) if members else None
    except OSError as error:
        port = settings["port"]
        sys.exit(f"cannot listen on port {port} ({error}); see who does: ss -ltnp 'sport = :{port}'")
    if server:
        threading.Thread(target=server.serve_forever, args=(TICK,), daemon=True).start()
    shown, looked = "", 0.0
    signs = Signs()
    while True:
        now = time.monotonic()
        own = unit.look()
        if leader.phase in ("starting", "serving"):
            fresh = now - looked >= (5 if leader.phase == "serving" else 1)
            looked = now if fresh else looked
            signs = Signs(
                ready=engine.ready() if fresh and leader.phase == "starting" else signs.ready,
                progress=engine.progress() if fresh and leader.phase == "serving" else None,
                answered=engine.take(),
                published=unit.published(own.invocation, published["pattern"])
                if published and not leader.go and own.up and fresh
                else None,
            )
        else:
            signs = Signs()
            engine.take()
        orders = leader.tick(now, own, server.reports if server else {}, signs)
        if server:
            server.answer = leader.answer()
        carry_out(unit, orders)
        if orders.ask:
            engine.ask(orders.ask)
        line = f"generation {leader.generation}: {leader.state}" + (
            f", waits for {', '.join(leader.waits_for)}" if leader.waits_for else ""
        )
        if line != shown:
            say(line + (f" ({leader.reason})" if leader.reason and leader.state != "serving" else ""))
            shown = line
        keeper.save(leader)
        notify(f"READY=1\nWATCHDOG=1\nSTATUS={line}")
        time.sleep(TICK)


def follow(settings: Mapping[str, Any], rules: Rules, unit: Unit, key: bytes) -> None:
    """Beside every other rank."""
    worker = Worker(rules)
    keeper = Keeper(settings)
    worker.resume(time.monotonic(), unit.look(), kept(settings["state"]))
    link = Link(settings, key)
    link.start()
    shown = ""
    while True:
        own = unit.look()
        orders = worker.tick(time.monotonic(), own, link.take())
        carry_out(unit, orders)
        link.tell(worker.report(own))
        line = f"generation {worker.generation}: {worker.state}" + (
            ", the rank ended" if worker.ended else ""
        )
        if line != shown:
            say(line)
            shown = line
        keeper.save(worker)
        notify(f"READY=1\nWATCHDOG=1\nSTATUS={line}")
        time.sleep(TICK)


def carry_out(unit: Unit, orders: Orders) -> None:
    """Do it."""
    if orders.kill:
        unit.kill()
    if orders.start:
        unit.start()


def main(arguments: list[str]) -> None:
    """Run for the rank whose settings are in the file named first."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    rules = Rules(**settings["rules"])
    unit = Unit(settings["unit"], settings["container"], settings["engine"])
    try:
        key = Path(settings["key"]).read_bytes().strip() if settings["nodes"] > 1 else b""
    except FileNotFoundError:
        sys.exit(
            f"the key {settings['key']} is missing; a run that reaches {settings['leader']} too puts it "
            "there: nimctl provision"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (follow if settings["rank"] else lead)(settings, rules, unit, key)


if __name__ == "__main__":
    main(sys.argv[1:])
