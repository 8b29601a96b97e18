"""What `make demo` shows at the end: a completion, which rank holds which layers, and what to do next."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from nimctl.errors import NimctlError
from nimctl.inventory import read
from nimctl.placement import Rank

QUESTION = "Explain tensor parallelism in one sentence."
TOKENS = 32


def show(inventory: Path, lab: str, console: Console) -> None:
    """Ask rank 0 of the first deployment for a completion and print the tour.

    Raises:
        NimctlError: no deployment, or the leader does not answer.
    """
    leader = _leader(inventory)
    url = _url(leader)
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            models = client.get("/v1/models").raise_for_status().json()
            body = _body(str(models["data"][0]["id"]))
            answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
            topology = client.get("/v1/rehearsal/topology").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise NimctlError(
            f"{leader.deployment}: rank 0 on {leader.node} does not answer at {url}: {error}\n"
            f"See `nimctl status -i {inventory}` and `nimctl logs -i {inventory}`."
        ) from error
    _print_completion(console, leader, answer)
    console.print(_topology_table(topology))
    _print_next(console, inventory, lab, url, body)


def _leader(inventory: Path) -> Rank:
    for rank in read(inventory).ranks:
        if rank.rank == 0:
            return rank
    raise NimctlError(f"{inventory}/cluster.yml has no deployment, so there is nothing to ask.")


def _url(leader: Rank) -> str:
    host = f"[{leader.address}]" if ":" in leader.address else leader.address
    return f"http://{host}:{leader.ports['api']}"


def _body(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": model, "messages": messages, "max_tokens": TOKENS}


def _print_completion(console: Console, leader: Rank, answer: dict[str, Any]) -> None:
    text = str(answer["choices"][0]["message"]["content"])
    console.print(f"\n[bold]The completion[/bold], from rank 0 on {leader.node}", highlight=False)
    console.print(f"  > {QUESTION}", style="dim", highlight=False)
    console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"  {answer['usage']['completion_tokens']} tokens. The model is a toy for rehearsals: its words "
        "mean little, but each went\n  through every rank below.\n",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )


def _topology_table(topology: list[dict[str, Any]]) -> Table:
    table = Table(title="Which rank is where", title_justify="left", title_style="bold")
    for column in ("rank", "node", "address", "layers", "tensor slice", "parameters"):
        table.add_column(column)
    for row in topology:
        first, last = row["layers"]
        table.add_row(
            str(row["rank"]),
            str(row["node"]),
            str(row["address"]),
            f"{first}-{last}",
            _slice(row),
            f"{row['parameters']:,}",
        )
    return table


def _slice(row: dict[str, Any]) -> str:
    first, last = row["tensor"]
    if row["tensor_size"] == 1:
        return "all of each layer"
    return f"{first}-{last} of {row['tensor_size']}"


def _print_next(console: Console, inventory: Path, lab: str, url: str, body: dict[str, Any]) -> None:
    name = f" --name {lab}" if lab != "lab" else ""
    around = {
        f"nimctl status -i {inventory}": "every rank: state, image, health, tokens",
        f"nimctl logs -i {inventory}": "what the ranks say",
        f"nimctl lab shell{name} node1": "a node, as root",
        f"$EDITOR {inventory}/cluster.yml": "the one file it all came from; change it, then",
        f"nimctl provision -i {inventory}": "make the nodes match",
    }
    width = max(map(len, around))
    lines = [
        "",
        "[bold]Again, by hand[/bold]",
        f"  curl -s {url}/v1/chat/completions -H 'Content-Type: application/json' \\",
        f"    -d '{json.dumps(body)}'",
        "",
        f"[bold]Look around[/bold] (nimctl is {Path(sys.argv[0])})",
        *(f"  {command:{width}}   # {what}" for command, what in around.items()),
        "",
        "[bold]Tear down[/bold]",
        f"  nimctl lab down{name}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
