"""`nimctl contracts verify` on tiny images made for the test: a few files and a configuration."""

from __future__ import annotations

import io
import json
import re
import resource
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nimctl.contracts import load_contracts
from nimctl.contracts.image import ImageError, container_engine, judge, look

ROOT = Path(__file__).parents[2]
ENV_SCRIPT = """\
#!/bin/bash
# NIM_PRIMARY_NODE is only talked about here
if [ "${NIM_MULTI_NODE:-0}" = 1 ]; then
  exec server --rank "$NIM_NODE_RANK" --of "$NIM_NUM_COMPUTE_NODES" --leader "$NIM_LEADER_IP_ADDRESS"
fi
"""
VARIANT_SCRIPT = (
    'echo "start worker node with NIM_PRIMARY_NODE=$ip NIM_NODE_MANAGER_PORT=$NIM_NODE_MANAGER_PORT"\n'
)


def _engine() -> str | None:
    try:
        return container_engine()
    except ImageError:
        return None


ENGINE = _engine()
pytestmark = pytest.mark.skipif(ENGINE is None, reason="needs a container engine: podman or docker")

Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    assert ENGINE is not None
    names: list[str] = []

    def _make(files: dict[str, str], *changes: str, programs: dict[str, Path] | None = None) -> str:
        name = f"localhost/nimctl-test-{uuid.uuid4().hex[:12]}:1"
        archive = tmp_path / f"{len(names)}.tar"
        with tarfile.open(archive, "w") as tar:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(content.encode()), 0o755
                tar.addfile(info, io.BytesIO(content.encode()))
            for path, source in (programs or {}).items():
                info = tarfile.TarInfo(path)
                content_of = source.read_bytes()
                info.size, info.mode = len(content_of), 0o755
                tar.addfile(info, io.BytesIO(content_of))
        options = [word for change in changes for word in ("--change", change)]
        subprocess.run([ENGINE, "import", *options, str(archive), name], check=True, capture_output=True)
        names.append(name)
        return name

    yield _make
    for name in names:
        subprocess.run([ENGINE, "image", "rm", "-f", name], check=False, capture_output=True)


def fitting(image: str) -> list[str]:
    assert ENGINE is not None
    known = load_contracts()
    return [
        verdict.contract for verdict in judge(look(image, ENGINE, known, run=False), known) if verdict.obeys
    ]


def test_nim1_env(make: Make) -> None:
    assert fitting(make({"opt/nim/start_server.sh": ENV_SCRIPT})) == ["nim1-env"]


def test_nim2_ray(make: Make) -> None:
    image = make(
        {"usr/local/bin/nim-serve-ray": "#!/bin/sh\n", "etc/x": "NIM_PRIMARY_NODE"},
        "ENV PATH=/usr/local/bin:/usr/bin",
    )
    assert fitting(image) == ["nim2-ray"]


def test_nim_variant(make: Make) -> None:
    assert fitting(make({"opt/nim/manager.py": VARIANT_SCRIPT})) == ["nim-variant"]


def test_vllm_and_sglang(make: Make) -> None:
    packages = "usr/local/lib/python3.12/dist-packages"
    vllm = make({"usr/local/bin/vllm": "#!/bin/sh\n", f"{packages}/vllm/__init__.py": ""})
    assert fitting(vllm) == ["vllm"]
    assert fitting(make({f"{packages}/sglang/__init__.py": ""})) == ["sglang"]


def test_the_article_is_obeyed_by_nothing(make: Make) -> None:
    script = "run $NIM_NODE_RANK $NIM_NUM_NODES $NIM_MASTER_ADDR $NIM_MASTER_PORT\n"
    assert fitting(make({"opt/nim/start_server.sh": script})) == []


def verify(image: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [ROOT / ".venv/bin/nimctl", "contracts", "verify", image, "--format", "json", *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_command_says_what_it_saw(make: Make) -> None:
    image = make(
        {"opt/nim/start_server.sh": ENV_SCRIPT},
        'ENTRYPOINT ["/opt/nim/start_server.sh"]',
        "ENV NIM_CACHE_PATH=/opt/nim/.cache",
        "ENV SOMEBODYS_TOKEN=not-to-be-shown",
        "LABEL com.nvidia.nim.version=1.7.3",
    )
    code, result = verify(image)
    assert code == 0
    assert result["contracts"] == ["nim1-env"]
    assert result["entrypoint"] == ["/opt/nim/start_server.sh"]
    assert result["labels"]["com.nvidia.nim.version"] == "1.7.3"
    assert "SOMEBODYS_TOKEN" in result["environment"]
    assert "not-to-be-shown" not in json.dumps(result)
    first = result["verdicts"][0]
    assert "variable NIM_LEADER_IP_ADDRESS in /opt/nim/start_server.sh:4" in first["seen"]
    variant = next(verdict for verdict in result["verdicts"] if verdict["contract"] == "nim-variant")
    assert "variable NIM_PRIMARY_NODE" in variant["missing"]


def test_nothing_fits(make: Make) -> None:
    code, result = verify(make({"etc/hostname": "x"}))
    assert code == 1
    assert result["contracts"] == []


def test_an_image_that_is_not_there() -> None:
    assert ENGINE is not None
    with pytest.raises(ImageError, match="get it first"):
        look("localhost/nimctl-test-none:1", ENGINE, load_contracts())


def shell() -> dict[str, Path]:
    """This machine's small shell and the libraries that it loads, by their places in an image."""
    dash = Path(shutil.which("dash") or "")
    listed = subprocess.run(["ldd", str(dash)], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/[^ ]+) \(0x", listed)
    return {
        "bin/sh": dash.resolve(),
        **{library.lstrip("/"): Path(library).resolve() for library in libraries},
    }


def runs(image: str) -> bool:
    command = [str(ENGINE), "run", "--rm", "--network=none", image, "/bin/sh", "-c", ":"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def modest(folder: Path) -> Path:
    """A configuration for machines where not even root may raise a limit, and crun refuses the cgroups."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    pids = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="utf-8"))
    texts = []
    for name, number in limits.items():
        hard = resource.getrlimit(number)[1]
        if hard != resource.RLIM_INFINITY:
            hard = min(hard, pids) if name == "nproc" else hard
            texts.append(f'"{name}={hard}:{hard}"')
    file = folder / "containers.conf"
    file.write_text(f'[containers]\ndefault_ulimits = [{", ".join(texts)}]\n[engine]\nruntime = "runc"\n')
    return file


@pytest.mark.skipif(shutil.which("dash") is None, reason="needs dash, a program that runs in the image")
def test_dry_run(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE is not None
    script = '#!/bin/sh\n[ "$*" = --dry-run ] && echo vllm serve model --tensor-parallel-size 8\n'
    image = make({"usr/bin/nim-serve": script}, "ENV PATH=/usr/bin:/bin", programs=shell())
    if not runs(image):
        monkeypatch.setenv("CONTAINERS_CONF", str(modest(tmp_path)))
        if not runs(image):
            pytest.skip(f"{ENGINE} cannot run containers here")
    seen = look(image, ENGINE, load_contracts())
    assert seen.dry_run == "vllm serve model --tensor-parallel-size 8"


def test_a_dry_run_that_fails_is_reported(make: Make) -> None:
    assert ENGINE is not None
    image = make({"usr/bin/nim-serve": "#!/nowhere\n"}, "ENV PATH=/usr/bin")
    seen = look(image, ENGINE, load_contracts())
    assert seen.dry_run is not None
    assert seen.dry_run.startswith("exit code")
