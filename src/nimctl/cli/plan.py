"""``nimctl plan``: does it fit, how to split it, how fast, what it costs, is the fabric good enough."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nimctl.cli.app import FormatOption, messages, print_json
from nimctl.errors import FAILED, RejectedError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(plan)


def plan(
    deployment: Annotated[
        str | None, typer.Argument(metavar="[DEPLOYMENT]", help="With -i: only this deployment.")
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option("-i", "--inventory", help="Inventory folder: plan what its description asks."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model, as NGC or Hugging Face name it, in any case.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="config.json or checkpoint folder of a model that has no name here."),
    ] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help="GPU model such as h100-sxm.")] = None,
    nodes: Annotated[int, typer.Option("--nodes", help="Machines.")] = 1,
    gpus_per_node: Annotated[int, typer.Option("--gpus-per-node", help="GPUs in each.")] = 8,
    fabric: Annotated[
        str | None,
        typer.Option(
            "--fabric",
            help="Network between nodes: ndr, 100g, roce-100g; all: every network of the table, on ndr.",
        ),
    ] = None,
    ports: Annotated[
        int, typer.Option("--ports", help="Ports of each node. Default: one per GPU, below 200 Gb/s one.")
    ] = 0,
    isl: Annotated[int, typer.Option("--isl", help="Tokens of a prompt.")] = 1024,
    osl: Annotated[int, typer.Option("--osl", help="Tokens of an answer.")] = 1024,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Requests in flight.")] = 16,
    tensor: Annotated[int | None, typer.Option("--tensor", help="GPUs that share each layer.")] = None,
    pipeline: Annotated[int | None, typer.Option("--pipeline", help="Pipeline stages.")] = None,
    precision: Annotated[str, typer.Option("--precision", help="Of the weights: bf16, fp8, nvfp4 ...")] = "",
    kv_precision: Annotated[str, typer.Option("--kv-precision", help="Of the KV cache: bf16 or fp8.")] = "",
    engine: Annotated[str | None, typer.Option("--engine", help="nim, vllm, sglang or trtllm.")] = None,
    goal: Annotated[
        str, typer.Option("--goal", help="latency, throughput or gpus (the fewest).")
    ] = "latency",
    ttft: Annotated[float | None, typer.Option("--ttft", help="Limit of the first token, in ms.")] = None,
    tpot: Annotated[float | None, typer.Option("--tpot", help="Limit per output token, in ms.")] = None,
    gpu_price: Annotated[float | None, typer.Option("--gpu-price", help="Dollars per GPU and hour.")] = None,
    api_price: Annotated[
        str | None,
        typer.Option("--api-price", metavar="IN/OUT", help="Dollars per million tokens of an API."),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option("--calibrate", help="Measured rows of your own (nimctl bench --save, or a CSV)."),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--tables", help="Folder with rows of your own: models.yml, gpus.yml, prices.yml ..."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Formula, inputs and source of every number.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page of its own, to look at or pass on.")
    ] = None,
    format: FormatOption = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Say whether a model fits, how to split it, how fast it is, what it costs, and what the network does.

    Nothing is contacted. Exit code 0: it fits; 1: it does not; 2: the question makes no sense. Speeds
    carry an interval and their origin; those of replicas that span nodes are analytic, because no published
    measurement is.
    """
    if format not in ("text", "json"):
        raise RejectedError(f"--format {format}: expected text or json")
    # Imported here: every verb pays for what is imported above.
    from nimctl.plan.ask import Options, questions
    from nimctl.plan.planner import plan as answer
    from nimctl.plan.show import show

    options = Options(
        model, config, gpu, nodes, gpus_per_node, fabric, ports, isl, osl, concurrency, tensor, pipeline,
        precision, kv_precision, engine, goal, ttft, tpot, gpu_price, api_price, calibrate, tables,
    )  # fmt: skip
    asked = questions(options, inventory, deployment)
    found = [answer(question, explain) for question in asked.questions]
    fits = all(one.fits for one in found)
    if html is not None:
        from nimctl.bench.saving import write
        from nimctl.report.plan import page

        write(html, page(*found))
        messages.print(f"wrote {html}", markup=False, soft_wrap=True)
    if format == "json":
        if asked.cluster is not None and len(found) != 1:
            plans = [one.as_json() for one in found]
            print_json({"cluster": asked.cluster, "fits": fits, "deployments": plans})
        else:
            print_json(found[0].as_json())
    else:
        for number, one in enumerate(found):
            if number:
                typer.echo("")
            show(one)
    if not fits:
        raise typer.Exit(FAILED)
