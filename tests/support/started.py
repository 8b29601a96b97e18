"""What each target would start: rendered files, taken at their word as their scheduler takes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Started:
    """One container: number of its rank, what is set in it, what runs in it, how many GPUs it has."""

    rank: int
    image: str
    environment: Mapping[str, str]
    program: tuple[str, ...]
    gpus: int
    secrets: frozenset[str] = field(default_factory=frozenset)


_STUB = """#!/bin/sh
printf '%s\\0' "$(basename "$0")" "$@" >>"$RECORD"
printf '\\n' >>"$RECORD"
"""


def docker(texts: Mapping[str, str], tmp_path: Path) -> Iterator[Started]:
    """Run each script with an engine that only writes down how it was called."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("docker", "podman", "install", "mountpoint", "curl"):
        (tools / name).write_text(_STUB)
        (tools / name).chmod(0o755)
    for name, text in texts.items():
        record = tmp_path / f"{name}.record"
        for path in re.findall(r"--env-file=(\S+)", text):
            (tmp_path / Path(path).name).touch()
        script = re.sub(r"/etc/nimctl/secrets/[a-z0-9-]+", str(tmp_path), text)
        run = {"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(record)}
        subprocess.run(["sh"], input=script, text=True, env=run, check=True, capture_output=True)
        for line in record.read_text().split("\0\n"):
            words = line.split("\0")
            if words[1:2] == ["run"]:
                yield _docker_run(words[2:])


def _docker_run(words: list[str]) -> Started:
    environment: dict[str, str] = {}
    gpus, entrypoint, name = 0, [], ""
    secrets = set()
    while words[0].startswith("--"):
        flag, _, value = words.pop(0).partition("=")
        if flag == "--env":
            key, _, text = value.partition("=")
            environment[key] = text
        gpus += flag == "--device" and value.startswith("nvidia.com/gpu=")
        if flag == "--entrypoint":
            entrypoint = [value]
        if flag == "--name":
            name = value
        if flag == "--env-file":
            secrets.add(Path(value).stem)
    image, *command = words
    return Started(int(name[-1]), image, environment, (*entrypoint, *command), gpus, frozenset(secrets))


def compose(texts: Mapping[str, str]) -> Iterator[Started]:
    """Read each file as compose does, which takes ``$$`` for a dollar sign."""
    for text in texts.values():
        for name, service in yaml.safe_load(text)["services"].items():
            yield Started(
                int(name[-1]),
                service["image"],
                {key: _plain(value) for key, value in service["environment"].items()},
                tuple(map(_plain, [*service.get("entrypoint", []), *service.get("command", [])])),
                sum(device.startswith("nvidia.com/gpu=") for device in service.get("devices", [])),
                frozenset(Path(path).stem for path in service.get("env_file", [])),
            )


def _plain(text: str) -> str:
    assert re.fullmatch(r"([^$]|\$\$)*", text, re.DOTALL), text
    return text.replace("$$", "$")


_SRUN = """#!/bin/bash
options=()
while [[ $1 == --* ]]; do options+=("$1"); shift; done
printf '%s\\n' "${options[@]}" >>"$RECORD.srun"
for ((id = 0; id < NODES; id++)); do
  SLURM_NODEID=$id NODE=$(printf 'n%02d' $((id + 1))) "$@" || exit
done
"""
_TOOLS = {
    "srun": _SRUN,
    "hostname": '#!/bin/sh\necho "$NODE"\n',
    "ip": '#!/bin/sh\necho "2: x inet 10.9.0.${NODE#n}/24 brd 10.9.0.255 scope global x"\n',
    "getent": '#!/bin/sh\necho "10.9.0.${NODE#n} STREAM $NODE"\n',
    "curl": "#!/bin/sh\nexit 0\n",
    "enroot": """#!/bin/bash
if [ "$1" = import ]; then touch "$3"; exit; fi
shift
printf '%s\\n' "$@" >>"$RECORD.enroot"
set_here=()
while [[ $1 == -* ]]; do
  case $1 in
    --rw) shift ;;
    --env) if [[ $2 == *=* ]]; then set_here+=("$2"); else set_here+=("$2=${!2}"); fi; shift 2 ;;
    *) shift 2 ;;
  esac
done
shift
exec env -i PATH="$PATH" RECORD="$RECORD" "${set_here[@]}" "$@"
""",
}


def slurm(text: str, nodes: int, tmp_path: Path) -> Iterator[Started]:
    """Run the job script with an srun that runs each task in turn; tasks note what they would start."""
    tools = tmp_path / "bin"
    shutil.rmtree(tools, ignore_errors=True)
    tools.mkdir(parents=True)
    for name, stub in _TOOLS.items():
        (tools / name).write_text(stub)
        (tools / name).chmod(0o755)
    record = tmp_path / "record"
    note = 'env -0 >"$RECORD.$SLURM_NODEID.env"; printf "%s\\0" "$@" >"$RECORD.$SLURM_NODEID.program"'
    assert text.count('exec "$@"\nNIMCTL_TASK') == 1
    script = tmp_path / "job.sbatch"
    # Nothing listens where workers wait for the leader.
    text = re.sub(r"^ *until \(exec 3<>.*\n", "", text, flags=re.MULTILINE)
    script.write_text(text.replace('exec "$@"\nNIMCTL_TASK', f"{note}\nNIMCTL_TASK"))
    before = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "NODES": str(nodes),
        "RECORD": str(record),
        "NGC_API_KEY": "not-shown",
        "HF_TOKEN": "not-shown",
        "SLURM_JOB_ID": "7",
    }
    subprocess.run(["bash", str(script)], env=before, check=True, capture_output=True, timeout=60)
    gpus = re.search(r"^#SBATCH --gpus-per-node=(\d+)$", text, re.MULTILINE)
    image = re.search(r"^uri=(\S+)$", text, re.MULTILINE)
    assert image is not None
    for number in range(nodes):
        found = dict(
            entry.split("=", 1) for entry in Path(f"{record}.{number}.env").read_text().split("\0") if entry
        )
        program = Path(f"{record}.{number}.program").read_text().split("\0")[:-1]
        assert text.count("export NGC_API_KEY") <= 1
        yield Started(
            number,
            image[1].strip("'").replace("#", "/"),
            found,
            tuple(program),
            int(gpus[1]) if gpus else 0,
            frozenset(name for name in ("NGC_API_KEY", "HF_TOKEN") if f"export {name}\n" in text),
        )


def leader_worker_set(texts: Mapping[str, str], namespace: str) -> Iterator[Started]:
    """Make the pods of one group as LeaderWorkerSet and the kubelet do."""
    objects = [each for text in texts.values() for each in yaml.safe_load_all(text)]
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    for each in objects:
        if each["kind"] != "LeaderWorkerSet":
            continue
        name, templates = each["metadata"]["name"], each["spec"]["leaderWorkerTemplate"]
        for index in range(templates["size"]):
            pod = templates["workerTemplate"]
            if index == 0:
                pod = templates.get("leaderTemplate", pod)
            injected = {
                "LWS_LEADER_ADDRESS": f"{name}-0.{name}.{namespace}",
                "LWS_GROUP_SIZE": str(templates["size"]),
                "LWS_WORKER_INDEX": str(index),
            }
            yield _pod(pod, injected, maps, index)


def _pod(
    pod: dict[str, Any], injected: Mapping[str, str], maps: Mapping[str, Mapping[str, str]], index: int
) -> Started:
    (container,) = pod["spec"]["containers"]
    fields = {
        "metadata.labels['leaderworkerset.sigs.k8s.io/worker-index']": str(index),
        "status.podIP": f"10.8.0.{index}",
    }
    # As makeEnvironmentVariables of the kubelet: envFrom first and as it is, then env, each with those
    # before it.
    known: dict[str, str] = {}
    for source in container.get("envFrom", []):
        known.update(maps[source["configMapRef"]["name"]])
    known.update(injected)
    secrets = set()
    for entry in container.get("env", []):
        if "value" in entry:
            known[entry["name"]] = expand(entry["value"], known)
        elif "fieldRef" in entry["valueFrom"]:
            known[entry["name"]] = fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            secrets.add(entry["name"])
    limits = container["resources"].get("limits", {})
    program = [*container.get("command", []), *container.get("args", [])]
    return Started(
        index,
        container["image"],
        {name: value for name, value in known.items() if name not in injected},
        tuple(expand(word, known) for word in program),
        int(limits.get("nvidia.com/gpu", 0)),
        frozenset(secrets),
    )


def expand(text: str, known: Mapping[str, str]) -> str:
    """As third_party/forked/golang/expansion of Kubernetes: ``$(X)`` is a variable, ``$$`` a dollar sign."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)
