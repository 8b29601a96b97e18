"""Reading secrets on the controller."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nimctl.cluster import Cluster
from nimctl.description.document import Connection, SecretSource, Stack
from nimctl.secrets import SecretError, read_secret

VALUE = "nvapi-0123456789abcdef"


def cluster(folder: Path, source: SecretSource | None) -> Cluster:
    secrets = {"key": source} if source else {}
    return Cluster("c", Connection(), Stack(), (), (), (), secrets, folder / "cluster.yml")


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = cluster(tmp_path, SecretSource(env="SOME_KEY"))
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(SecretError, match=r"needed for a test.*SOME_KEY is not set"):
        read_secret(described, "key", "a test")
    monkeypatch.setenv("SOME_KEY", f"{VALUE}\n")
    assert read_secret(described, "key", "a test") == VALUE


def test_file(tmp_path: Path) -> None:
    described = cluster(tmp_path, SecretSource(file=".lab/key"))
    with pytest.raises(SecretError, match="No such file"):
        read_secret(described, "key", "a test")
    file = tmp_path / ".lab" / "key"
    file.parent.mkdir()
    file.write_text(f"{VALUE}\n")
    file.chmod(0o644)
    with pytest.raises(SecretError, match=f"chmod 600 {file}") as caught:
        read_secret(described, "key", "a test")
    assert VALUE not in str(caught.value)
    file.chmod(0o640)
    assert read_secret(described, "key", "a test") == VALUE
    file.write_text("\n")
    with pytest.raises(SecretError, match="is empty"):
        read_secret(described, "key", "a test")


def test_not_described(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"add key: \{env: KEY\}"):
        read_secret(cluster(tmp_path, None), "key", "a test")


def test_vault_by_a_caller_inside_ansible(tmp_path: Path) -> None:
    described = cluster(tmp_path, SecretSource(vault="vaulted"))
    assert read_secret(described, "key", "a test", {"vaulted": VALUE}.__getitem__) == VALUE
    with pytest.raises(SecretError, match="no variable vaulted"):
        read_secret(described, "key", "a test", lambda name: "")


def test_vault_by_ansible_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    # A static inventory is enough: only the variables beside it matter here.
    (inventory / "hosts.yml").write_text("all: {hosts: {node1: {}}}\n")
    ansible_vault = str(Path(sys.executable).with_name("ansible-vault"))
    command = [
        ansible_vault,
        "encrypt_string",
        "--vault-password-file",
        str(password),
        "--name",
        "vaulted",
        VALUE,
    ]
    vaulted = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (inventory / "group_vars" / "all.yml").write_text(vaulted)
    described = cluster(inventory, SecretSource(vault="vaulted"))
    # Ansible reads its configuration once for each process, so a process of its own.
    script = (
        "import sys; from pathlib import Path; from nimctl.cluster import Cluster\n"
        "from nimctl.description.document import Connection, SecretSource, Stack\n"
        "from nimctl.secrets import SecretError, read_secret\n"
        "secrets = {'key': SecretSource(vault='vaulted')}\n"
        "c = Cluster('c', Connection(), Stack(), (), (), (), secrets, Path(sys.argv[1]) / 'cluster.yml')\n"
        "try: print(read_secret(c, 'key', 'a test'))\n"
        "except SecretError as error: print('refused', error)\n"
    )
    assert described.secrets["key"].vault == "vaulted"

    def read(**environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", script, str(inventory)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert read().startswith("refused")
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in read()
    assert read(ANSIBLE_VAULT_PASSWORD_FILE=str(password)) == VALUE
