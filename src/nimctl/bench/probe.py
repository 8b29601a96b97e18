"""What an endpoint serves and understands, found out by a few requests before it is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from nimctl.bench.client import PATHS, Client, Sample, short
from nimctl.bench.prompts import WORDS, Prompts
from nimctl.errors import NimctlError

SHORT = 16
"""Words of a prompt that only asks whether an answer comes."""
REFUSED = (400, 422)


class EndpointError(NimctlError):
    """The endpoint does not answer, or not as an OpenAI endpoint does."""


async def model(client: Client) -> str:
    """The name to ask for: the one that was given if it is served, or the only one that is.

    Raises:
        EndpointError: no answer, no list of models, or no way to tell which one is meant.
    """
    where = f"{client.url}/v1/models"
    try:
        answer = await client.http.get(where)
    except httpx.HTTPError as error:
        raise EndpointError(
            f"{client.url} does not answer: {short(str(error)) or type(error).__name__}. "
            "Is it up, and is the address right? (without /v1)"
        ) from None
    if answer.status_code in (401, 403):
        raise EndpointError(
            f"{where} says {answer.status_code}: it wants an API key. Put it into an environment variable or "
            "a file and name that with --api-key-env or --api-key-file"
        )
    names = _names(answer)
    if client.model in names:
        return client.model
    if not client.model and len(names) == 1:
        return names[0]
    if names:
        wrong = f"not {client.model}" if client.model else "so --model must say which"
        raise EndpointError(f"{client.url} serves {', '.join(names)}, {wrong}")
    if client.model:
        return client.model  # not every gateway lists its models; the first request will tell
    raise EndpointError(f"{where} says {answer.status_code} and lists no model; name it with --model")


def _names(answer: httpx.Response) -> list[str]:
    try:
        content = answer.json() if answer.is_success else {}
    except ValueError:
        return []
    listed = content.get("data") if isinstance(content, dict) else None
    return [str(item["id"]) for item in listed or [] if isinstance(item, dict) and "id" in item]


async def dialect(client: Client, prompts: Prompts) -> list[str]:
    """Find out by one short stream which fields the endpoint takes; sets ``client.dialect``.

    Returns what could not be had, in sentences for a person.

    Raises:
        EndpointError: it refuses the request for another reason, or the stream fails.
    """
    notes: list[str] = []
    for _ in range(4):
        sample = await client.ask(prompts.make(SHORT), 4)
        if sample.error is None:
            return [*notes, *_uncounted(client, sample)]
        changed = _without_refused(client, sample)
        if changed is None:
            raise EndpointError(
                f"{client.url}{PATHS[client.api]} did not stream an answer: {sample.error}: {sample.detail}"
                + (_hint(client) if sample.error in ("http 400", "http 404") else "")
            )
        notes.append(changed)
    raise EndpointError(f"{client.url}{PATHS[client.api]} refuses every form of the request")


def _hint(client: Client) -> str:
    other = "completions" if client.api == "chat" else "chat"
    return f" (perhaps it serves --api {other})"


def _without_refused(client: Client, sample: Sample) -> str | None:
    """Leave out the field that an error names; says so, or None where it names none of ours."""
    if sample.error not in {f"http {status}" for status in REFUSED}:
        return None
    had = client.dialect
    if "max_completion_tokens" in sample.detail and had.limit == "max_tokens":
        client.dialect = replace(had, limit="max_completion_tokens")
        return "The endpoint wants max_completion_tokens in the place of max_tokens."
    if "ignore_eos" in sample.detail and had.ignore_eos:
        client.dialect = replace(had, ignore_eos=False)
        return "The endpoint does not take ignore_eos, so answers may end before the wanted length."
    if ("stream_options" in sample.detail or "include_usage" in sample.detail) and had.usage:
        client.dialect = replace(had, usage=False)
        return (
            "The endpoint does not count the tokens of streams (stream_options); an answer that was cut at "
            "the limit counts as that long."
        )
    return None


def _uncounted(client: Client, sample: Sample) -> list[str]:
    if sample.tokens is not None:
        return []
    return [
        "The endpoint sends no usage in its streams, so tokens of answers that end by themselves are unknown."
    ]


async def words(client: Client, prompts: Prompts, isl: int) -> tuple[int, list[str]]:
    """How many words make a prompt of ``isl`` tokens, chat template included, by the endpoint's own count.

    Raises:
        EndpointError: the template alone is longer than that, or the endpoint fails.
    """
    once, twice = await _count(client, prompts.cycles(1)), await _count(client, prompts.cycles(2))
    if once is None or twice is None or twice <= once:
        return isl, ["The endpoint does not count prompt tokens, so one word is taken for one token."]
    per_word = (twice - once) / len(WORDS)
    around = 2 * once - twice
    wanted = round((isl - around) / per_word)
    if wanted < 1:
        raise EndpointError(
            f"--isl {isl} is too short: what the endpoint adds to each prompt takes {around} tokens by "
            "itself. Ask for more, or use --api completions"
        )
    return wanted, []


async def _count(client: Client, text: str) -> int | None:
    """The tokens of a prompt as the endpoint counts them; None where it does not say."""
    body = client.dialect.body(client.api, client.model, text, 1, stream=False)
    try:
        answer = await client.http.post(
            client.url + PATHS[client.api], content=body, headers={"Content-Type": "application/json"}
        )
        content: Any = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, ValueError) as error:
        raise EndpointError(
            f"{client.url} failed at a prompt of {len(text.split())} words: {short(str(error))}"
        ) from None
    if not answer.is_success:
        raise EndpointError(
            f"{client.url} refuses a prompt of {len(text.split())} words: {answer.status_code}: "
            f"{short(answer.text)}"
        )
    count = (content.get("usage") or {}).get("prompt_tokens") if isinstance(content, dict) else None
    return count if isinstance(count, int) else None
