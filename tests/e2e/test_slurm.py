"""A rendered job script under Debian's own Slurm on two lab nodes: two ranks, one completion.

The rehearsal engine runs in the place of a container: a stand-in for enroot takes its arguments, sets the
variables that it is told to, and starts the command on the node.
"""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from labs import Lab, clone, start_lab

from nimctl.rehearsal.image import write_rootfs

pytestmark = pytest.mark.slow

DESCRIPTION = """\
plugin: nimctl.multinode.cluster
name: slurm
nodes:
  - {hosts: "node[1-2]", addresses: ADDRESSES, gpu: {count: 0}}
deployments:
  - {name: r1, model: tiny, engine: rehearsal, contract: nim1-env, image: "registry.lab:5000/rehearsal:1",
     hosts: "node[1-2]", parallel: {tensor: 1, pipeline: 2}}
slurm: {runtime: enroot, images: /opt/images}
"""

# A configuration that works in containers: no cgroups, no accounting, and less memory than a node has.
SLURM_CONF = """\
ClusterName=lab
SlurmctldHost=node1
SlurmUser=slurm
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
SlurmctldTimeout=60
SlurmdTimeout=60
KillWait=5
NodeName=node[1-2] CPUs=1 RealMemory=500 State=UNKNOWN
PartitionName=lab Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

ENROOT = r"""#!/bin/bash
set -euo pipefail
verb=$1
shift
if [ "$verb" = import ]; then touch "$2"; exit; fi
here=()
while [[ $1 == -* ]]; do
  case $1 in
    --rw) shift ;;
    --env) if [[ $2 == *=* ]]; then here+=("$2"); else here+=("$2=${!2}"); fi; shift 2 ;;
    --rc) rc=$2; shift 2 ;;
    --mount) source=${2%%:*}; [ -d "$source" ] || { echo "no folder $source" >&2; exit 1; }; shift 2 ;;
    *) echo "unknown option $1" >&2; exit 1 ;;
  esac
done
shift
exec env -i PATH="$PATH" HOME="$HOME" "${here[@]}" sh "$rc" "$@"
"""

INSTALL = """\
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends slurmctld slurmd slurm-client munge curl \\
  python3-numpy >/dev/null
mkdir -p /etc/slurm /var/lib/slurm/slurmctld /var/lib/slurm/slurmd /var/log/slurm /opt/images
chown -R slurm: /var/lib/slurm /var/log/slurm
echo CgroupPlugin=disabled >/etc/slurm/cgroup.conf
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two bare nodes with Slurm, the rehearsal engine's files, and the stand-in for enroot."""
    for lab in start_lab(clone(), tmp_path_factory.mktemp("lab"), "--nodes", "2"):
        # Packages take minutes on a busy machine: on both nodes at the same time.
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(_install, lab), ("node1", "node2")))
        for node in ("node1", "node2"):
            lab.sh(node, "cat >/etc/slurm/slurm.conf", SLURM_CONF)
            lab.sh(node, "cat >/usr/local/bin/enroot && chmod 755 /usr/local/bin/enroot", ENROOT)
            lab.sh(node, "base64 -d | tar -xzf - -C /", _engine(tmp_path_factory.mktemp("engine")))
        key = lab.sh("node1", "base64 -w0 /etc/munge/munge.key")
        lab.sh("node2", "base64 -d >/etc/munge/munge.key && chown munge: /etc/munge/munge.key", key)
        lab.sh("node2", "systemctl restart munge && systemctl disable --now slurmctld")
        lab.sh("node1", "systemctl restart munge slurmctld")
        for node in ("node1", "node2"):
            lab.sh(node, "systemctl restart slurmd")
        _wait(lab, "sinfo -h -o '%D %t'", "2 idle", 120)
        yield lab


def _install(lab: Lab, node: str) -> None:
    shell = ("nimctl", "lab", "shell", "--name", lab.name, node, "--", "sh", "-c", INSTALL)
    lab.installation.run(*shell, timeout=1500)


def _engine(folder: Path) -> str:
    """The engine's files as a base64 text, as they lie in its image."""
    write_rootfs(folder / "root")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in ("opt", "usr"):
            archive.add(folder / "root" / name, name)
    return base64.b64encode(data.getvalue()).decode()


def _wait(lab: Lab, command: str, wanted: str, seconds: int) -> str:
    """Ask on node1 until the answer holds a text."""
    deadline = time.monotonic() + seconds
    while True:
        found = lab.sh("node1", f"{command} || true")
        if wanted in found:
            return found
        assert time.monotonic() < deadline, f"{command}: {found}"
        time.sleep(2)


def test_two_ranks_answer_and_end_together(lab: Lab, tmp_path: Path) -> None:
    addresses = [lab.sh("node1", f"getent ahostsv4 {node}").split()[0] for node in ("node1", "node2")]
    (tmp_path / "cluster.yml").write_text(DESCRIPTION.replace("ADDRESSES", json.dumps(addresses)))
    lab.installation.nimctl("render", "slurm", "-i", tmp_path, "--output", tmp_path / "out")
    lab.sh("node1", "cat >/root/r1.sbatch", (tmp_path / "out" / "r1-0.sbatch").read_text())

    job = lab.sh("node1", "cd /root && sbatch --parsable r1.sbatch").strip()
    log = _wait(lab, f"cat /root/r1-0-{job}.log", "r1 serves on", 180)
    assert f"http://{addresses[0]}:8000/v1" in log
    assert re.search(r"^0: .*rank 0", log, re.MULTILINE)
    assert re.search(r"^1: .*rank 1", log, re.MULTILINE)

    request = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    url = f"http://{addresses[0]}:8000/v1/chat/completions"
    asked = f"curl -sS --fail -H 'Content-Type: application/json' -d @- {url}"
    answer = json.loads(lab.sh("node2", asked, json.dumps(request)))
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 0

    # A lost rank ends the job, on both nodes: a leader without its worker would hang.
    lab.sh("node2", "pkill -KILL -f '[p]ython3 -m rehearsal'")
    deadline = time.monotonic() + 90
    while state := lab.sh("node1", f"squeue -h -j {job} -o %T 2>/dev/null || true").strip():
        assert state in ("RUNNING", "COMPLETING")
        assert time.monotonic() < deadline
        time.sleep(2)
    assert lab.sh("node1", "pgrep -fc '[p]ython3 -m rehearsal' || true").strip() == "0"
