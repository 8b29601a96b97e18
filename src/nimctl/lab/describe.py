"""The description of a lab: a ``cluster.yml`` that is the lab's as long as nobody changes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_MARK = "# Written by `nimctl lab up` and kept up to date by it until you change anything in this file. "


@dataclass(frozen=True, slots=True)
class Lab:
    """What the description of a lab says."""

    name: str
    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    registry: str
    container_engine: str
    gpus: int
    driver: str = "container"


def render(lab: Lab) -> str:
    """The whole file."""
    body = _body(lab)
    return f"{_MARK}{_fingerprint(body)}\n{body}"


def is_generated(text: str) -> bool:
    """Whether a file is what ``render`` wrote, untouched."""
    first, _, body = text.partition("\n")
    return first == _MARK + _fingerprint(body)


def write(lab: Lab, file: Path) -> bool:
    """Write the description, unless there is one that a person wrote or changed; says whether it did."""
    if file.exists() and not is_generated(file.read_text(errors="replace")):
        return False
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.write_text(render(lab))
    unfinished.replace(file)
    return True


def _fingerprint(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _layers(lab: Lab) -> str:
    """Which layers of the stack nobody looks after."""
    reason = "container: these layers of a real machine are not its own"
    layers = ["driver", "container_toolkit", "rdma", "nccl", "tuning", "firewall"]
    if lab.driver == "vm":
        reason = "virtual machine without GPUs"
        layers = ["driver", "container_toolkit", "nccl"]
    return f"  # A lab node is a {reason}.\n" + "".join(f"  {layer}: {{mode: ignore}}\n" for layer in layers)


def _body(lab: Lab) -> str:
    count = len(lab.nodes)
    hosts = f'"node[1-{count}]"' if count > 1 else "node1"
    first, last = lab.addresses[0], lab.addresses[-1].rsplit(".", 1)[-1]
    addresses = f'"{first.rsplit(".", 1)[0]}.[{first.rsplit(".", 1)[1]}-{last}]"' if count > 1 else first
    pair = '"node[1-2]"' if count > 1 else "node1"
    gpus = (
        f"    gpu: {{model: h100-sxm, count: {lab.gpus}}}      # stand-ins: device files that are not GPUs\n"
        if lab.gpus
        else "    gpu: {count: 0}                  # no GPU: the rehearsal engine takes one slot per node\n"
    )
    plural = "s" if count > 1 else ""
    chosen = "    gpus: [0]\n" if lab.gpus else ""
    return f"""\
plugin: nimctl.multinode.cluster
name: {lab.name}

# How Ansible reaches the nodes. The files in .lab/ were made for this lab; `nimctl lab down` removes them.
connection:
  user: ops                          # may do everything by sudo
  key: .lab/ssh_key
  known_hosts: .lab/known_hosts

stack:
  container_engine:
    engine: {lab.container_engine}
    registries:                      # the lab's own: TLS by the lab's authority, and a login
      - host: "{lab.registry}"
        ca: .lab/ca.crt
        username: $oauthtoken
        password: ngc_api_key        # an entry under secrets, never the key itself
{_layers(lab)}
nodes:
  - hosts: {hosts}
    addresses: {addresses}
{gpus}    fabric: {{kind: ethernet, rate: 10g, interface: eth0}}

# One model, served by one replica: a tiny transformer, its layers split over {min(count, 2)} rank{plural}.
deployments:
  - name: demo
    model: rehearsal/tiny
    engine: rehearsal
    image: {lab.registry}/rehearsal:1
    hosts: {pair}
{chosen}    parallel: {{tensor: 1, pipeline: {min(count, 2)}}}
    port: 8000

secrets:
  ngc_api_key: {{file: .lab/ngc_api_key}}
"""
