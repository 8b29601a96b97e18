"""Does it answer? Questions to a served model through its leader, as a client would ask them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import httpx

from nimctl.placement import Rank
from nimctl.run.target import LEADER_API, Endpoint, Target, host

PROMPT = "Say hello."
TOKENS = 16
CONNECT = 5.0
"""Seconds to wait for a connection."""

Kind = Literal["health", "models", "completion", "stream", "workers"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question and how it was answered; ``seconds`` is how long the answer took."""

    kind: Kind
    deployment: str
    replica: int
    node: str
    passed: bool
    seconds: float
    detail: str


class Answer(Exception):  # noqa: N818 - a refusal is an answer too
    """An answer that is not what a served model gives; its text says what came instead."""


def run(target: Target, deployment: str | None = None, timeout: float = 120.0) -> Iterator[Check]:
    """Ask every replica of a deployment (default: all); yields each check when it is done.

    A replica whose health check fails is not asked for completions: it would hang until the timeout.
    """
    leaders = {(rank.node, rank.ports[LEADER_API]) for rank in target.ranks() if rank.rank == 0}
    # No proxy of the controller's environment: nodes are asked directly, as Ansible reaches them.
    with httpx.Client(timeout=httpx.Timeout(timeout, connect=CONNECT), trust_env=False) as client:
        for endpoint in target.endpoints(deployment):
            healthy = _ask(endpoint, "health", partial(_health, client))
            yield healthy
            for kind, question in _questions(client):
                if healthy.passed:
                    yield _ask(endpoint, kind, question)
                else:
                    yield Check(
                        kind,
                        endpoint.deployment,
                        endpoint.replica,
                        endpoint.node,
                        False,
                        0.0,
                        "not asked: not healthy",
                    )
            workers = [
                rank
                for rank in target.ranks(endpoint.deployment)
                if rank.replica == endpoint.replica and rank.rank > 0
            ]
            if workers:
                yield _ask(endpoint, "workers", partial(_silent, client, target, workers, leaders))


def _questions(client: httpx.Client) -> list[tuple[Kind, Callable[[Endpoint], str]]]:
    return [
        ("models", partial(_models, client)),
        ("completion", partial(_completion, client)),
        ("stream", partial(_stream, client)),
    ]


def _ask(endpoint: Endpoint, kind: Kind, question: Callable[[Endpoint], str]) -> Check:
    begun = time.monotonic()
    try:
        passed, detail = True, question(endpoint)
    except Answer as answer:
        passed, detail = False, str(answer)
    except httpx.HTTPError as error:
        passed, detail = False, f"{endpoint.url} does not answer: {error or type(error).__name__}"
    seconds = time.monotonic() - begun
    return Check(
        kind, endpoint.deployment, endpoint.replica, endpoint.node, passed, round(seconds, 3), detail
    )


def _health(client: httpx.Client, at: Endpoint) -> str:
    answer = client.get(f"{at.url}{at.health}", timeout=10.0)
    if not answer.is_success:
        raise Answer(f"{at.health} says {answer.status_code}")
    return f"{at.health} says {answer.status_code}"


def _models(client: httpx.Client, at: Endpoint) -> str:
    names = [str(item.get("id")) for item in _json(client.get(f"{at.url}/v1/models")).get("data", [])]
    if at.model not in names:
        raise Answer(f"serves {', '.join(names) or 'no model'}, not {at.model}")
    return ", ".join(names)


def _body(at: Endpoint, *, chat: bool, stream: bool) -> dict[str, Any]:
    asked: dict[str, Any] = (
        {"messages": [{"role": "user", "content": PROMPT}]} if chat else {"prompt": PROMPT}
    )
    return {"model": at.model, "max_tokens": TOKENS, "stream": stream} | asked


def _completion(client: httpx.Client, at: Endpoint) -> str:
    answer = client.post(f"{at.url}/v1/chat/completions", json=_body(at, chat=True, stream=False))
    if answer.status_code in (400, 404):
        # A model without a chat template serves plain completions only.
        answer = client.post(f"{at.url}/v1/completions", json=_body(at, chat=False, stream=False))
    body = _json(answer)
    choices = body.get("choices") or []
    if not choices:
        raise Answer(f"an answer without choices: {_short(answer.text)}")
    said = (choices[0].get("message") or {}).get("content") or choices[0].get("text") or ""
    count = (body.get("usage") or {}).get("completion_tokens")
    if not said and not count:
        raise Answer(f"an empty completion: {_short(answer.text)}")
    return f"{_short(str(said), 48)!r}" + (f", {count} tokens" if count else "")


def _stream(client: httpx.Client, at: Endpoint) -> str:
    for path, chat in (("/v1/chat/completions", True), ("/v1/completions", False)):
        with client.stream("POST", f"{at.url}{path}", json=_body(at, chat=chat, stream=True)) as answer:
            if answer.status_code in (400, 404) and chat:
                continue
            if not answer.is_success:
                answer.read()
                raise Answer(f"{answer.status_code}: {_short(answer.text)}")
            events = [line[5:].strip() for line in answer.iter_lines() if line.startswith("data:")]
        chunks = [text for text in events if text != "[DONE]"]
        if not events or events[-1] != "[DONE]":
            raise Answer(f"the stream ended after {len(chunks)} chunks without [DONE]")
        if not chunks:
            raise Answer("the stream held nothing but [DONE]")
        _ = [json.loads(text) for text in chunks]
        return f"{len(chunks)} chunks, then [DONE]"
    raise Answer("neither chat nor plain completions can be streamed")


def _silent(
    client: httpx.Client,
    target: Target,
    workers: list[Rank],
    leaders: set[tuple[str, int]],
    at: Endpoint,
) -> str:
    port = int(at.url.rpartition(":")[2])
    asked = []
    for rank in workers:
        if (rank.node, port) in leaders:
            continue  # the leader of another deployment serves on this port of that node
        address = host(target.nodes[rank.node].address)
        try:
            answer = client.get(f"http://{address}:{port}/v1/models", timeout=CONNECT)
        except httpx.TransportError:
            asked.append(rank.node)
            continue
        raise Answer(f"{rank.name} on {rank.node} answers HTTP on port {port} ({answer.status_code})")
    return (
        f"silent on port {port}: {', '.join(asked)}" if asked else "their port belongs to another deployment"
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Answer(f"{answer.status_code}: {_short(answer.text)}")
    try:
        body = answer.json()
    except ValueError:
        raise Answer(f"no JSON: {_short(answer.text)}") from None
    if not isinstance(body, dict):
        raise Answer(f"no JSON object: {_short(answer.text)}")
    return body


def _short(text: str, length: int = 120) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"
