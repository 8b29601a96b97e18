"""``nimctl bench``: how fast does it answer under load?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nimctl.cli.app import FormatOption, messages, print_json
from nimctl.cli.options import DeploymentArgument, json_wanted, results
from nimctl.errors import DONE, FAILED, RejectedError

if TYPE_CHECKING:
    from nimctl.bench.result import Result
    from nimctl.bench.subject import Subject

INTERRUPTED = 130
MOST = 10_000
"""Requests in flight at most: each takes a connection."""
RESERVED = frozenset({"model", "messages", "prompt", "stream", "stream_options", "max_tokens", "n"})


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(bench)


def bench(
    deployment: DeploymentArgument = None,
    inventory: Annotated[
        Path | None, typer.Option("-i", "--inventory", help="Inventory folder that holds cluster.yml.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Any OpenAI endpoint, such as http://gpu01:8000, in the place of -i.")
    ] = None,
    replica: Annotated[int, typer.Option(help="Which replica of the deployment.", min=0)] = 0,
    model: Annotated[
        str | None, typer.Option(help="Name to ask for. Default: the only one that is served.")
    ] = None,
    api: Annotated[str, typer.Option(help="chat or completions.")] = "chat",
    concurrency: Annotated[
        str, typer.Option(help="Requests in flight, one number for each level.")
    ] = "1,2,4,8,16,32,64",
    isl: Annotated[int, typer.Option(help="Tokens of each prompt.", min=1)] = 1024,
    osl: Annotated[int, typer.Option(help="Tokens of each answer.", min=2)] = 1024,
    requests: Annotated[
        int | None, typer.Option(help="Requests of each level. Default: ten times the concurrency.", min=1)
    ] = None,
    level_seconds: Annotated[
        float | None, typer.Option(help="Begin no more requests of a level after so many seconds.", min=0.1)
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(help="Requests before each level that do not count. Default: the concurrency.", min=0),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Longest silence of an answer, in seconds.", min=0.1)
    ] = 120.0,
    ttft: Annotated[
        float | None, typer.Option(help="Goodput: longest time to the first token, ms.", min=0)
    ] = None,
    tpot: Annotated[
        float | None, typer.Option(help="Goodput: longest time per token after the first, ms.", min=0)
    ] = None,
    e2e: Annotated[
        float | None, typer.Option(help="Goodput: longest time of a whole answer, ms.", min=0)
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the API key.", metavar="NAME")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key, readable by you alone.", dir_okay=False)
    ] = None,
    extra: Annotated[
        str | None, typer.Option(help="JSON object of more fields for every request.", metavar="JSON")
    ] = None,
    tool: Annotated[str, typer.Option(help="nimctl, or aiperf where it is installed.")] = "nimctl",
    tokenizer: Annotated[
        str | None, typer.Option(help="With --tool aiperf: its tokenizer, a name or a folder.")
    ] = None,
    serves: Annotated[
        str | None,
        typer.Option(help="The model as nimctl plan knows it. Default: the name that is asked for."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine that serves it: nim, vllm, sglang.")] = None,
    gpu: Annotated[str | None, typer.Option(help="GPU model that serves it, such as h100-sxm.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes of the replica.", min=1)] = None,
    gpus_per_node: Annotated[int | None, typer.Option(help="GPUs of each that it uses.", min=1)] = None,
    tensor: Annotated[int | None, typer.Option(help="GPUs that share each layer.", min=1)] = None,
    pipeline: Annotated[int | None, typer.Option(help="Pipeline stages.", min=1)] = None,
    precision: Annotated[str | None, typer.Option(help="Number format of the weights.")] = None,
    fabric: Annotated[
        str | None, typer.Option(help="Network between its nodes, for the prediction: ndr, 100g.")
    ] = None,
    output: FormatOption = "text",
    save: Annotated[
        Path | None,
        typer.Option(help="Keep the result for `nimctl plan --calibrate`: .json, or .csv for rows alone."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of its own, to look at or pass on.")] = None,
) -> None:
    """Put load on an endpoint and measure how fast it answers: latency, throughput, goodput, errors.

    Each level keeps a number of requests in flight; prompts are new each time, so that no cache answers.
    Tokens are those that the endpoint counts. Ctrl-C ends it with what there is. Exit codes: 0 every request
    was answered, 1 some failed or the endpoint did not answer, 2 rejected and nothing was sent, 130 stopped.

    What serves it (--serves, --engine, --gpu and so on) is written into saved rows, and the plan's prediction
    stands beside what was measured; with -i it is known from the description, and options correct it.
    """
    from nimctl.bench import saving, subject, sweep  # they load the HTTP client, which is slow
    from nimctl.bench.client import Dialect
    from nimctl.bench.display import choose
    from nimctl.bench.measure import measure
    from nimctl.bench.result import Limits, Setup
    from nimctl.run.target import load

    as_json = json_wanted(output)
    if tool not in ("nimctl", "aiperf"):
        raise RejectedError(f"--tool {tool} is not known; it is nimctl or aiperf")
    if tokenizer is not None and tool != "aiperf":
        raise RejectedError("--tokenizer is for --tool aiperf; nimctl leaves counting tokens to the endpoint")
    for file in (save, html):
        if file is not None and not file.absolute().parent.is_dir():
            raise RejectedError(f"{file}: there is no folder {file.absolute().parent}")
    if (inventory is None) == (url is None):
        raise RejectedError("Say what to measure: -i DIR [DEPLOYMENT], or --url URL")
    if inventory is not None:
        asked = subject.of_description(load(inventory), deployment, replica)
    elif deployment is not None:
        raise RejectedError(f"{deployment}: a deployment belongs to a description; give -i DIR, not --url")
    else:
        asked = subject.Subject(subject.address(str(url)), "", Setup())
    asked = _corrected(
        asked,
        system=gpu,
        model=serves,
        backend=engine,
        precision=precision,
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        tp=tensor,
        pp=pipeline,
    )
    order = sweep.Order(
        url=asked.url,
        api=_api(api),
        model=model or asked.model,
        levels=_levels(concurrency),
        isl=isl,
        osl=osl,
        requests=requests,
        warmup=warmup,
        level_seconds=level_seconds,
        timeout=timeout,
        limits=Limits(ttft, tpot, e2e),
        dialect=Dialect(extra=_extra(extra)),
    )
    key = subject.api_key(api_key_env, api_key_file)
    if tool == "aiperf":
        if not order.model:
            raise RejectedError("--tool aiperf: AIPerf does not ask which model is served; add --model")
        tokenizer = tokenizer or asked.setup.model or order.model
    result = measure(
        asked,
        order,
        key,
        choose(messages),
        tokenizer=tokenizer,
        inventory=inventory,
        fabric=fabric,
    )
    if as_json:
        print_json(result.as_json())
    else:
        _show(result)
    if save is not None:
        saving.save(save, result.as_json())
    if html is not None:
        from nimctl.report.bench import page

        saving.write(html, page(result))
    for file in filter(None, (save, html)):
        messages.print(f"Written: {file}", markup=False, soft_wrap=True)
    missing = [option for option, value in _needed(result).items() if value is None]
    if save is not None and missing:
        messages.print(
            f"note: {save} does not say what serves it, which nimctl plan --calibrate must know; next time "
            f"add {', '.join(missing)}",
            markup=False,
            soft_wrap=True,
        )
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(FAILED if result.failed or not result.levels else DONE)


def _api(text: str) -> Literal["chat", "completions"]:
    if text == "chat":
        return "chat"
    if text == "completions":
        return "completions"
    raise RejectedError(f"--api {text} is not known; it is chat or completions")


def _levels(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and 0 < int(word) <= MOST for word in words):
        raise RejectedError(
            f"--concurrency {text}: expected whole numbers from 1 to {MOST}, with commas between them: 1,4,16"
        )
    return tuple(dict.fromkeys(int(word) for word in words))


def _extra(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise RejectedError(f"--extra is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RejectedError('--extra must be a JSON object, such as {"temperature": 0}')
    reserved = RESERVED & fields.keys()
    if reserved:
        raise RejectedError(f"--extra cannot set {', '.join(sorted(reserved))}: the measurement does")
    return fields


def _corrected(asked: Subject, **given: str | int | None) -> Subject:
    known = {name: value for name, value in given.items() if value is not None}
    return replace(asked, setup=replace(asked.setup, **known))  # type: ignore[arg-type]  # each has its type


def _needed(result: Result) -> dict[str, str | int | None]:
    """What a row must say to be of use, by the option that says it."""
    return {"--gpu": result.setup.system, "--engine": result.setup.backend, "--tensor": result.setup.tp}


def _show(result: Result) -> None:
    from nimctl.bench.tables import errors, tables

    where = result.endpoint.deployment or result.endpoint.url
    console = results()
    if result.levels:
        console.print(
            f"{result.endpoint.model} at {where}: {result.load.isl} tokens in, {result.load.osl} out\n",
            markup=False,
            soft_wrap=True,
        )
    for table in tables(result, console.width):
        console.print(table)
    for kind, (count, example) in errors(result).items():
        messages.print(f"{count} failed: {kind}: {example}", style="red", markup=False, soft_wrap=True)
    for note in result.notes:
        messages.print(f"note: {note}", markup=False, soft_wrap=True)
    if result.interrupted:
        so_far = (
            "the figures are those of what was answered until then" if result.levels else "before any answer"
        )
        messages.print(f"Stopped; {so_far}.", style="yellow")
