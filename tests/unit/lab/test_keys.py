from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest

from nimctl.lab.keys import Keys

pytestmark = pytest.mark.skipif(
    not shutil.which("openssl") or not shutil.which("ssh-keygen"), reason="needs openssl and ssh-keygen"
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    keys = Keys(tmp_path_factory.mktemp("inventory") / ".lab")
    keys.prepare(["node1", "node2"], "10.89.70.2")
    return keys


def test_everything_secret_is_for_the_owner_alone(keys):
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    secret = [
        keys.ssh_key,
        keys.ngc_key,
        keys.host_key("node1"),
        keys.folder / "ca.key",
        keys.server("10.89.70.2")[1],
    ]
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def test_the_key_looks_like_one_of_ngc(keys):
    text = keys.ngc_key.read_text()
    assert text.startswith("nvapi-")
    assert len(text.strip()) >= 64


def test_the_registry_certificate_is_good_for_its_address_and_names(keys):
    certificate, _ = keys.server("10.89.70.2")
    subprocess.run(["openssl", "verify", "-CAfile", keys.ca, certificate], check=True, capture_output=True)
    shown = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "IP Address:10.89.70.2" in shown
    assert "DNS:registry.lab" in shown
    ssl.create_default_context(cafile=str(keys.ca))


def test_nodes_have_host_keys_of_their_own_and_known_hosts_knows_them(keys):
    keys.write_known_hosts({"node1": "10.89.70.11", "node2": "10.89.70.12"})
    first, second = keys.known_hosts.read_text().splitlines()
    assert first.startswith("node1,10.89.70.11 ssh-ed25519 ")
    assert second.startswith("node2,10.89.70.12 ssh-ed25519 ")
    assert first.split()[2] != second.split()[2]


def test_what_is_there_is_kept(keys):
    before = {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()}
    keys.prepare(["node1", "node2", "node3"], "10.89.70.2")
    after = {path: path.read_bytes() for path in keys.folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert keys.host_key("node3") in after
