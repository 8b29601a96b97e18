"""A job script for each replica: one task on each node, rank by SLURM_NODEID, in pyxis or enroot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nimctl.cluster import Node
from nimctl.description.document import Deployment, Slurm
from nimctl.errors import RejectedError
from nimctl.image import parse
from nimctl.placement import Mount, Placement, Rank
from nimctl.render import shell
from nimctl.render.files import header
from nimctl.render.replicas import by_replica, difference, template
from nimctl.render.slurm_parts import ENROOT, FIND, PREPARE, PYXIS, WATCH
from nimctl.render.symbols import mark
from nimctl.resolve import check_runnable

# What a task knows, by template field.
VARIABLES = {
    "rank": "SLURM_NODEID",
    "leader": "NIMCTL_LEADER",
    "leader_address": "NIMCTL_LEADER_ADDRESS",
    "address": "NIMCTL_ADDRESS",
}


def spelling(deployment: Deployment, node: Node, fields: Mapping[str, str]) -> Mapping[str, str]:
    """How ranks are written: Slurm chooses the nodes, so rank and addresses are known to the tasks alone."""
    host = mark("leader_address")
    return {
        "rank": mark("rank"),
        "leader": mark("leader"),
        "leader_address": host,
        "leader_host": f"[{host}]" if fields["ipv6"] else host,
        "address": mark("address"),
    }


def render(placement: Placement) -> dict[str, str]:
    """``DEPLOYMENT-REPLICA.sbatch`` for each replica, by path; the placement was read with ``spelling``.

    Raises:
        RejectedError: something of the placement cannot be said in one job script.
    """
    check_runnable(placement)
    settings = placement.cluster.slurm or Slurm()
    nodes = {node.name: node for node in placement.cluster.nodes}
    return {
        f"{deployment.name}-{ranks[0].replica}.sbatch": _Script(placement, settings, nodes, ranks).text()
        for deployment, replicas in by_replica(placement)
        for ranks in replicas
    }


class _Script:
    """The job script of one replica."""

    def __init__(
        self, placement: Placement, settings: Slurm, nodes: Mapping[str, Node], ranks: Sequence[Rank]
    ) -> None:
        self.cluster, self.settings, self.nodes, self.ranks = placement.cluster, settings, nodes, ranks
        self.leader = ranks[0]
        self.name = f"{self.leader.deployment}-{self.leader.replica}"
        self._check()

    def _check(self) -> None:
        for rank in self.ranks[2:]:
            if template(rank) != template(self.ranks[1]):
                raise RejectedError(
                    f"deployment {rank.deployment}: ranks {self.ranks[1].rank} and {rank.rank} differ in "
                    f"{difference(self.ranks[1], rank)}, and Slurm may put each of them on any node; use "
                    "nodes that are alike"
                )
        interfaces = {self._interface(rank) for rank in self.ranks}
        if len(interfaces) > 1:
            raise RejectedError(
                f"deployment {self.leader.deployment}: its nodes name their interfaces differently "
                f"({', '.join(sorted(interfaces))}), and Slurm may put each rank on any of them"
            )
        if not self.leader.program:
            raise RejectedError(
                f"deployment {self.leader.deployment}: nobody knows what its image starts, and under Slurm "
                "that has to be said; a contract of your own can name it with `program`"
            )

    def text(self) -> str:
        """The whole script."""
        return "\n".join(
            [
                self._head(),
                self._settings(),
                FIND,
                self._secrets() + PREPARE,
                self._task(),
                self._run(),
                WATCH,
            ]
        )

    def _interface(self, rank: Rank) -> str:
        fabric = self.nodes[rank.node].fabric
        return fabric.interface or "" if fabric else ""

    def _head(self) -> str:
        count, gpus = len(self.ranks), len(self.leader.gpus)
        what = f"ranks 0 to {count - 1} by SLURM_NODEID" if count > 1 else "one rank"
        options = [
            f"--job-name={self.name}",
            f"--nodes={count}",
            "--ntasks-per-node=1",
            *([f"--gpus-per-node={gpus}"] if gpus else []),
            *(["--exclusive", "--mem=0"] if self._whole_nodes() else []),
            *(
                f"--{name}={value}"
                for name in ("partition", "account", "qos", "time")
                if (value := getattr(self.settings, name)) is not None
            ),
            *self.settings.options,
            # A lost rank ends the job, and a job whose node failed starts again as a whole.
            "--requeue",
            "--open-mode=append",
            "--output=%x-%j.log",
        ]
        told = f"Replica {self.leader.replica} of {self.leader.deployment}: {what}. Start it with sbatch."
        directives = "".join(f"#SBATCH {option}\n" for option in options)
        return f"#!/bin/bash\n{header(self.cluster.name, told)}{directives}set -euo pipefail\n"

    def _whole_nodes(self) -> bool:
        return all(len(rank.gpus) == self.nodes[rank.node].gpu_count for rank in self.ranks)

    def _settings(self) -> str:
        health = self.leader.health
        assert health is not None
        six = ":" in self.leader.leader_address
        values = {
            "deployment": self.leader.deployment,
            # The interface on which ranks meet; empty: where the node's name leads.
            "interface": self._interface(self.leader),
            "family": "6" if six else "4",
            "port": str(health.port),
            "path": health.path,
            "deadline": str(health.deadline),
        }
        lines = [f"{name}={shell.word(value)}" for name, value in values.items()]
        lines.append(f"image={self._image()}")
        lines.append(f"uri={shell.word(uri(self.leader.image))}")
        lines.append(
            f'cache="${{NIMCTL_CACHE:-${{XDG_CACHE_HOME:-$HOME/.cache}}/nimctl}}/{self.leader.deployment}"'
        )
        return "\n".join(lines) + "\n"

    def _image(self) -> str:
        """The squashfs file, or nothing where pyxis pulls the image on each node."""
        file = f"{re.sub(r'[^a-z0-9.-]+', '_', self.leader.image.lower())}.sqsh"
        if self.settings.images:
            return shell.word(f"{self.settings.images}/{file}")
        if self.settings.runtime == "enroot":
            return f'"${{NIMCTL_IMAGES:-$HOME/.cache/nimctl/images}}/{file}"'
        return "''"

    def _secrets(self) -> str:
        if not self.leader.secrets:
            return ""
        lines = [
            "# Read where the job runs, so that no value is in the script, in an argument or in Slurm's "
            "files."
        ]
        for name in self.leader.secrets:
            lines.append(
                f': "${{{name}_FILE:=$HOME/.config/nimctl/{name.lower()}}}"\n'
                f'if [ -z "${{{name}:-}}" ]; then {name}=$(<"${name}_FILE"); fi\n'
                f"export {name}"
            )
        return "\n".join(lines) + "\n\n"

    def _task(self) -> str:
        worker = self.ranks[1] if len(self.ranks) > 1 else None
        lines = [
            "# What runs in each container.",
            "IFS= read -r -d '' task <<'NIMCTL_TASK' || :",
            "set -euo pipefail",
            'read -r -a addresses <<<"$NIMCTL_ADDRESSES"',
            "NIMCTL_ADDRESS=${addresses[$SLURM_NODEID]}",
        ]
        if worker is None:
            lines += self._role(self.leader, "")
        else:
            lines.append('if [ "$SLURM_NODEID" -eq 0 ]; then')
            lines += self._role(self.leader, "  ")
            lines.append("else")
            lines += self._role(worker, "  ")
            lines.append("fi")
        return "\n".join([*lines, 'exec "$@"', "NIMCTL_TASK"]) + "\n"

    def _role(self, rank: Rank, indent: str) -> list[str]:
        lines = [f"export {name}={shell.word(value, VARIABLES)}" for name, value in rank.environment.items()]
        ray = self.leader.ports.get("ray")
        if rank.rank and ray:
            lines.append(
                f'until (exec 3<>"/dev/tcp/$NIMCTL_LEADER_ADDRESS/{ray}") 2>/dev/null; do sleep 2; done'
            )
        lines.append(f"set -- {' '.join(shell.words(rank.program, VARIABLES))}")
        return [f"{indent}{line}" for line in lines]

    def _run(self) -> str:
        if self.settings.runtime == "enroot":
            names = ["NIMCTL_ADDRESSES", "NIMCTL_LEADER", "NIMCTL_LEADER_ADDRESS", "SLURM_NODEID"]
            options = [
                *(f"--env {name}" for name in (*names, *self.leader.secrets)),
                *(f"--mount {_enroot_mount(mount)}" for mount in self.leader.mounts),
            ]
            return ENROOT.replace("@OPTIONS@", shell.lines(options, "  ")).replace(
                "@GPUS@", "all" if self.leader.gpus else "void"
            )
        mounts = ",".join(_pyxis_mount(mount) for mount in self.leader.mounts)
        flags = [f'--container-mounts="{mounts}"'] if mounts else []
        if self.leader.secrets:
            flags.append(f"--container-env={','.join(self.leader.secrets)}")
        return PYXIS.replace("@OPTIONS@", "".join(f"  {flag} \\\n" for flag in flags))


def uri(image: str) -> str:
    """An image as enroot writes it; a digest takes the place of the tag."""
    found = parse(image)
    registry = "" if found.registry == "docker.io" else f"{found.registry}#"
    return f"{registry}{found.repository}:{found.digest or found.tag}"


def _source(mount: Mount) -> str:
    """Within double quotes; the cache is the user's own folder."""
    return re.sub(r'([$"\\`])', r"\\\1", mount.source) if mount.read_only else "$cache"


def _pyxis_mount(mount: Mount) -> str:
    return f"{_source(mount)}:{mount.target}{':ro' if mount.read_only else ''}"


def _enroot_mount(mount: Mount) -> str:
    flags = "ro" if mount.read_only else "rw"
    return f'"{_source(mount)}:{mount.target}:none:x-create=auto,bind,{flags}"'
