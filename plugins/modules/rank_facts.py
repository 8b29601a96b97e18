#!/usr/bin/python
# Copyright the nimctl authors
# SPDX-License-Identifier: Apache-2.0
"""What runs on one node: units, containers, health and tokens of its ranks, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rank_facts
short_description: Look at the ranks of a node
description:
  - Reports for every rank that should be on the node, and for every other rank of the same cluster that is
    there, the state of its systemd unit and of its container.
  - Asks the health check and the metrics of leaders on the node itself. Changes nothing.
version_added: 0.1.0
author: The nimctl authors
options:
  cluster:
    description: Name of the cluster; ranks of other clusters on the same node are left out.
    type: str
    required: true
  engine:
    description: The container engine that runs the ranks.
    type: str
    choices: [docker, podman]
    required: true
  ranks:
    description: The ranks that should be here, as in C(nim_ranks).
    type: list
    elements: dict
    default: []
  metrics:
    description:
      - Per deployment, where its leader shows tokens. The keys C(paths), C(generated) and C(prompt) are lists
        that are tried in order.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for one HTTP answer.
    type: int
    default: 3
extends_documentation_fragment: [nimctl.multinode.modes]
"""

EXAMPLES = r"""
- name: Look at the ranks
  nimctl.multinode.rank_facts:
    cluster: "{{ nim_cluster }}"
    engine: "{{ container_engine_name }}"
    ranks: "{{ nim_ranks }}"
"""

RETURN = r"""
ranks:
  description: Every rank found or wanted, by name.
  returned: always
  type: list
  elements: dict
  sample:
    - name: r1-0-0
      wanted: true
      unit: {state: active, sub: running, result: success, restarts: 0, since: 1763928000}
      container: {status: running, started: "2026-11-23T20:00:00Z", image: "registry/r1@sha256:...",
                  digest: "sha256:...", spec: 0f3c}
      held: []
      supervisor: {unit: active, state: serving, since: 1763928000, generation: 3, restarts: 2,
                   reason: rank 1 on gpu02 ended, waits_for: []}
      health: {ok: true, status: 200, error: ""}
      tokens: {generated: 1042, prompt: 77}
drained:
  description: Who drained this node, since when and why; empty where it is not drained.
  returned: always
  type: dict
  sample: {by: ann@desk, since: 1763928000, why: fan, kind: drain}
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import LABEL, Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    UNIT_FOLDER,
    container_name,
    unit_marks,
    unit_name,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import state, supervisor_unit
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import show

SPEC_LABEL = "nimctl.spec"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "StateChangeTimestampMonotonic")
LARGEST = 4 * 1024 * 1024
"""Bytes of an answer that are read at most."""


def unit_state(values: Mapping[str, str], now: float, monotonic: float) -> dict[str, Any] | None:
    """What systemd says about one unit; None where there is no such unit.

    ``since`` is the Unix time of the last change of state. It is computed from the time since boot, which old
    versions of systemd give in a form that needs no locale.
    """
    if values.get("LoadState") in ("not-found", "", None):
        return None
    changed = int(values.get("StateChangeTimestampMonotonic") or 0)
    return {
        "state": values.get("ActiveState", ""),
        "sub": values.get("SubState", ""),
        "result": values.get("Result", ""),
        "restarts": int(values.get("NRestarts") or 0),
        "since": int(now - monotonic + changed / 1e6) if changed else None,
    }


def container_states(text: str) -> dict[str, dict[str, Any]]:
    """Read ``docker inspect`` or ``podman inspect``, by container name.

    Their answer holds the environment of each container as well; it does not leave this function.
    """
    found = {}
    for item in json.loads(text.strip() or "[]"):
        config, state = item.get("Config") or {}, item.get("State") or {}
        labels = config.get("Labels") or {}
        image = item.get("ImageName") or config.get("Image") or ""
        found[item["Name"].lstrip("/")] = {
            "status": state.get("Status", ""),
            "started": state.get("StartedAt", ""),
            "image": image,
            "digest": image.partition("@")[2] or item.get("ImageDigest") or "",
            "spec": labels.get(SPEC_LABEL, ""),
        }
    return found


def metric(text: str, names: Iterable[str]) -> int | None:
    """Sum a Prometheus counter over its labels: the first of ``names`` that is there, None where none is."""
    for name in names:
        values = [
            float((line.rpartition("}")[2] if "{" in line else line[len(name) :]).split()[0])
            for line in text.splitlines()
            if line.startswith((name + "{", name + " "))
        ]
        if values:
            return int(sum(values))
    return None


def fetch(url: str, timeout: float) -> tuple[int, str, str]:
    """GET a URL past any proxy: status, text, error; status 0 where there was no HTTP answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return answer.status, answer.read(LARGEST).decode("utf-8", "replace"), ""
    except urllib.error.HTTPError as error:
        return error.code, "", f"HTTP {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return 0, "", str(getattr(error, "reason", error))


def health(rank: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], str]:
    """Ask the health check of a leader; also gives the address that answered, empty where none did."""
    check, own = rank["health"], rank.get("address") or ""
    # An engine may listen on the address of its rank alone.
    candidates = ["127.0.0.1", f"[{own}]" if ":" in own else own]
    result = {"ok": False, "status": 0, "error": ""}
    for address in filter(None, candidates):
        status, _, error = fetch(f"http://{address}:{check['port']}{check['path']}", timeout)
        result = {"ok": 200 <= status < 300, "status": status, "error": error}
        if status:
            return result, address
    return result, ""


def tokens(
    rank: Mapping[str, Any], address: str, row: Mapping[str, Any], timeout: float
) -> dict[str, Any] | None:
    """Tokens that a leader has generated and read so far; None where it does not say."""
    for path in row.get("paths", []):
        status, text, _ = fetch(f"http://{address}:{rank['health']['port']}{path}", timeout)
        if status == 200:
            return {key: metric(text, row.get(key, [])) for key in ("generated", "prompt")}
    return None


def supervisor(cluster: str, name: str, units: Mapping[str, Mapping[str, str]]) -> dict[str, Any] | None:
    """What the supervisor of a rank says; None where there is none."""
    unit = units.get(supervisor_unit(name))
    if unit is None:
        return None
    said = state(cluster, name)
    return {
        "unit": unit["ActiveState"],
        "state": said.get("state", ""),
        "since": said.get("changed"),
        "generation": said.get("generation", 0),
        "restarts": said.get("restarts", 0),
        "reason": said.get("reason", ""),
        "waits_for": said.get("waits_for", []),
    }


def ranks_here(folder: Path, cluster: str) -> list[str]:
    """Names of the ranks of a cluster that have a unit on this node."""
    found = []
    for path in sorted(folder.glob(unit_name("*"))):
        marks = unit_marks(path.read_text(encoding="utf-8", errors="replace"))
        if marks.get("cluster") == cluster:
            found.append(path.name[len("nim-") : -len(".service")])
    return found


def main() -> None:
    """Look, and report."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "engine": {"type": "str", "required": True, "choices": ["docker", "podman"]},
            "ranks": {"type": "list", "elements": "dict", "default": []},
            "metrics": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    options = module.params
    wanted = {rank["name"]: rank for rank in options["ranks"]}
    engine = Engine(options["engine"], lambda words: module.run_command(words))
    names = set(wanted) | set(ranks_here(Path(UNIT_FOLDER), options["cluster"]))
    prefix = container_name("")
    names |= {
        entry["name"][len(prefix) :]
        for entry in engine.containers(f"{LABEL}={options['cluster']}")
        if entry["name"].startswith(prefix)
    }
    ordered = sorted(names)
    units = show(lambda words: module.run_command(words), map(unit_name, ordered), PROPERTIES)
    # A container that is not there is missing from the answer and makes the command fail; both is fine here.
    _, out, _ = (
        engine.call("inspect", "--type", "container", *map(container_name, ordered))
        if ordered
        else (0, "", "")
    )
    containers = container_states(out)
    watched = [name for name in ordered if Path(UNIT_FOLDER, supervisor_unit(name)).exists()]
    supervisors = show(
        lambda words: module.run_command(words), [supervisor_unit(name) for name in watched], ["ActiveState"]
    )
    now, monotonic = time.time(), time.clock_gettime(time.CLOCK_MONOTONIC)
    drains = Drains(options["cluster"])
    found = []
    for name in ordered:
        rank = wanted.get(name)
        entry = {
            "name": name,
            "wanted": rank is not None,
            "unit": unit_state(units.get(unit_name(name), {}), now, monotonic),
            "container": containers.get(container_name(name)),
            "held": drains.held(name),
            "supervisor": supervisor(options["cluster"], name, supervisors),
            "health": None,
            "tokens": None,
        }
        if rank and rank.get("health"):
            entry["health"], address = health(rank, options["timeout"])
            if address:
                row = options["metrics"].get(rank["deployment"]) or {}
                entry["tokens"] = tokens(rank, address, row, options["timeout"])
        found.append(entry)
    module.exit_json(changed=False, ranks=found, drained=drains.record() or {})


if __name__ == "__main__":
    main()
