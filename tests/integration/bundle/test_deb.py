"""Bundles for Debian: chosen and verified by apt, from repositories of fixture packages."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = "6.12.57+deb13-amd64"
PLATFORM = "packages/debian-13-x86_64"

if shutil.which("apt-get") is None or shutil.which("gpg") is None:
    pytest.skip("apt or gpg is missing; run `make setup`", allow_module_level=True)


@pytest.fixture(scope="module")
def repositories(served):
    """NVIDIA's repository and a distribution's, and the fingerprint of the first."""
    import deb_nvidia
    from deb_build import Deb, Signer, write

    folder, address = served
    signer = Signer(folder, "distribution")
    debs = [
        *(Deb(name, "1.0-1", depends=("libfixture1",)) for name in ("podman", "netavark", "aardvark-dns")),
        Deb("libfixture1", "1:2.0-1"),
        Deb("nftables", "1.1.3-1"),
        Deb("dkms", "3.2.2-1"),
        Deb(f"linux-headers-{KERNEL}", "6.12.57-1"),
        Deb("nobody-wants-this", "1-1"),
    ]
    write(folder / "debian", debs, signer, "Debian", "Debian")
    (folder / "distribution.asc").write_bytes(signer.public)
    signer.close()
    deb_nvidia.build(folder / "nvidia")
    (folder / "distribution.sources").write_text(
        f"Types: deb\nURIs: {address}/debian\nSuites: /\nSigned-By: {folder}/distribution.asc\n"
    )
    return folder, f"{address}/nvidia", (folder / "nvidia/fingerprint").read_text().strip()


def nimctl(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [ROOT / ".venv/bin/nimctl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def make(inventory: Path, output: Path, sources: Path, *more: object, check: bool = True):
    return nimctl(
        "bundle", "-i", inventory, "--output", output, "--distribution", "debian-13", "--kernel", KERNEL,
        "--sources", sources, "--format", "json", *more, check=check,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(repositories, describe, tmp_path_factory):
    """A folder with an inventory and its bundle, and what nimctl said of it."""
    folder, address, key = repositories
    place = tmp_path_factory.mktemp("made")
    inventory = describe(place / "inventory", address, key)
    return place, json.loads(make(inventory, place / "b", folder / "distribution.sources").stdout)


@pytest.fixture
def bundle(made, tmp_path):
    """A copy of both, to be spoiled, and what nimctl said."""
    place, said = made
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    return tmp_path / "inventory", tmp_path / "b", {**said, "path": str(tmp_path / "b")}


def test_a_bundle_has_every_layers_packages_with_all_that_they_need(bundle, tmp_path):
    inventory, path, said = bundle
    packages = said["platforms"][0]["packages"]
    assert said["platforms"][0]["nodes"] == ["gpu1", "gpu2"]
    assert {"podman", "libfixture1", "nftables", "dkms", f"linux-headers-{KERNEL}", "libcuda1"} <= set(
        packages
    )
    assert packages["nvidia-kernel-open-dkms"] == ["580.178.04-1"]
    assert packages["libfixture1"] == ["1:2.0-1"]
    assert "nobody-wants-this" not in packages
    # The run without network installs exactly what is in the bundle.
    assert 'driver: {version: "580.178.04"}' in (inventory / "cluster.lock.yml").read_text()
    assert json.loads(nimctl("bundle", "--check", path, "-i", inventory, "--format", "json").stdout) == said


def test_apt_installs_from_it_with_nothing_else(bundle, tmp_path):
    _, path, _ = bundle
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "status").touch()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{path / PLATFORM} ./\n")
    options = [
        f"-oDir::State::lists={tmp_path}/lists", f"-oDir::State::status={tmp_path}/status",
        f"-oDir::Etc::sourcelist={tmp_path}/sources.list", "-oDir::Etc::sourceparts=/dev/null",
        "-oAPT::Architecture=amd64", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=root",
        "-oDir::Etc::preferencesparts=/dev/null",
    ]  # fmt: skip
    subprocess.run(["apt-get", *options, "update", "--error-on=any"], check=True, capture_output=True)
    wanted = ["podman", "nvidia-driver-cuda=580.178.04-1", "nvidia-kernel-open-dkms=580.178.04-1"]
    would = subprocess.run(
        ["apt-get", *options, "--simulate", "install", *wanted], capture_output=True, text=True, check=True
    )
    assert "Inst libfixture1 (1:2.0-1" in would.stdout
    assert "Inst nvidia-kernel-open-dkms (580.178.04-1" in would.stdout


def test_another_wish_is_refused_before_any_host_is_touched(bundle):
    inventory, path, _ = bundle
    cluster = inventory / "cluster.yml"
    cluster.write_text(cluster.read_text().replace("branch: 580", "branch: 570"))
    for arguments in (("bundle", "--check", path), ("provision", "--from-bundle", path)):
        refused = nimctl(*arguments, "-i", inventory, check=False)
        assert refused.returncode == 2
        assert "the bundle lacks what the description needs" in refused.stderr
        assert "does not offer nvidia-driver-cuda 570.211.01; it offers 580.178.04-1" in refused.stderr


def test_an_altered_package_is_named_before_any_host_is_touched(bundle):
    inventory, path, _ = bundle
    package = next((path / PLATFORM).glob("podman_*.deb"))
    package.write_bytes(package.read_bytes() + b"x")
    refused = nimctl("provision", "--from-bundle", path, "-i", inventory, check=False)
    assert refused.returncode == 2
    assert f"{PLATFORM}/{package.name} was altered" in refused.stderr


def test_plain_ansible_refuses_it_as_well(bundle):
    inventory, path, _ = bundle
    (path / PLATFORM / "Packages").write_text("")
    done = subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", "site.yml", "-i", inventory, "-e", f"nimctl_bundle={path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{PLATFORM}/Packages was altered" in done.stdout
    assert "TASK [Take the lease of the cluster]" not in done.stdout


def test_a_node_that_the_bundle_does_not_know_is_named(bundle):
    inventory, path, _ = bundle
    cluster = inventory / "cluster.yml"
    cluster.write_text(cluster.read_text().replace("[1-2]", "[1-3]"))
    refused = nimctl("bundle", "--check", path, "-i", inventory, check=False)
    assert refused.returncode == 2
    assert "was made for gpu[1-2], without gpu3" in refused.stderr


def test_making_it_again_changes_nothing_and_a_lost_file_comes_back(bundle, repositories):
    inventory, path, said = bundle
    sums = (path / "SHA256SUMS").read_text()
    package = next((path / PLATFORM).glob("libcuda1_*.deb"))
    package.unlink()
    again = json.loads(make(inventory, path, repositories[0] / "distribution.sources").stdout)
    assert again["platforms"] == said["platforms"]
    assert package.exists()
    # Only when it was made differs.
    ours = [line for line in (path / "SHA256SUMS").read_text().splitlines() if "bundle.json" not in line]
    assert ours == [line for line in sums.splitlines() if "bundle.json" not in line]


def test_a_tar_holds_the_same(bundle, repositories, tmp_path):
    inventory, _, said = bundle
    made = json.loads(make(inventory, tmp_path / "b.tar", repositories[0] / "distribution.sources").stdout)
    assert made["platforms"] == said["platforms"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.tar", "inventory"]
    nimctl("bundle", "--check", tmp_path / "b.tar", "-i", inventory)


@pytest.mark.parametrize(
    ("mirror", "reason"), [("foreign", "NO_PUBKEY|Missing key"), ("unsigned", "not signed")]
)
def test_a_mirror_that_cannot_be_trusted_makes_no_bundle(repositories, describe, tmp_path, mirror, reason):
    folder, address, key = repositories
    inventory = describe(tmp_path / "inventory", address, key)
    cluster = inventory / "cluster.yml"
    cluster.write_text(cluster.read_text().replace("/cuda", f"/{mirror}"))
    refused = make(inventory, tmp_path / "b", folder / "distribution.sources", check=False)
    assert refused.returncode != 0
    assert any(word in refused.stderr for word in reason.split("|")), refused.stderr
    assert not (tmp_path / "b" / "SHA256SUMS").exists()


def test_another_key_is_refused(repositories, describe, tmp_path):
    folder, address, _ = repositories
    refused = make(
        describe(tmp_path / "inventory", address, "A" * 40),
        tmp_path / "b",
        folder / "distribution.sources",
        check=False,
    )
    assert refused.returncode != 0
    assert f"expected {'A' * 40}" in refused.stderr
