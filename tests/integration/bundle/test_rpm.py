"""Bundles for the RHEL family: chosen by dnf, which checks every signature, and installable from there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = "5.14.0-570.12.1.el9_6.x86_64"
PLATFORM = "packages/rhel-9-x86_64"
NEEDED = ("dnf", "rpm", "rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c", "gpg")

if any(shutil.which(name) is None for name in NEEDED):
    pytest.skip("dnf or its tools are missing; run `make setup`", allow_module_level=True)


@pytest.fixture(scope="module")
def repositories(served, tmp_path_factory):
    """NVIDIA's repository for RHEL 9 and a distribution's: folder, address and fingerprint."""
    import rpm_build
    import rpm_nvidia

    folder, address = served
    key = rpm_build.make_key(tmp_path_factory.mktemp("keys") / "key")
    rpms, modules = rpm_nvidia.rhel9()
    rpm_build.publish(folder / "rpm/cuda/rhel9/x86_64", rpms, key, modules)
    (folder / "rpm/cuda/rhel9/x86_64/D42D0685.pub").write_text(key.public)
    own = [
        *rpm_nvidia.distribution(),
        rpm_build.Rpm("podman", "5.4.0", requires=("conmon",)),
        rpm_build.Rpm("conmon", "2.1.12"),
        rpm_build.Rpm("nftables", "1.0.9"),
        rpm_build.Rpm("python3-dnf-plugin-versionlock", "4.3.0"),
        rpm_build.Rpm(f"kernel-devel-{KERNEL}", "1"),
    ]
    rpm_build.publish(folder / "base", own, key)
    (folder / "base.repo").write_text(
        f"[base]\nname=base\nbaseurl={address}/base/\ngpgcheck=1\ngpgkey={address}/base/key.asc\n"
    )
    return folder, f"{address}/rpm", key


@pytest.fixture
def make(repositories, describe, tmp_path):
    """``make()`` makes a bundle from a mirror; gives how nimctl ended."""

    def _make(mirror: str = "cuda") -> subprocess.CompletedProcess[str]:
        folder, address, key = repositories
        inventory = describe(tmp_path / "inventory", address, key.fingerprint)
        cluster = inventory / "cluster.yml"
        cluster.write_text(cluster.read_text().replace("/cuda", f"/{mirror}"))
        command = [
            ROOT / ".venv/bin/nimctl", "bundle", "-i", inventory, "--output", tmp_path / "b",
            "--distribution", "rhel-9", "--kernel", KERNEL, "--sources", folder / "base.repo",
            "--format", "json",
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    return _make


def test_dnf_installs_from_a_bundle_with_nothing_else(make, tmp_path):
    done = make()
    assert done.returncode == 0, done.stderr
    packages = json.loads(done.stdout)["platforms"][0]["packages"]
    assert {"podman", "conmon", "nftables", "nvidia-driver-cuda", "python3-dnf-plugin-versionlock"} <= set(
        packages
    )
    (version,) = packages["nvidia-driver-cuda"]
    assert "580.178.04" in version
    (tmp_path / "repos").mkdir()
    (tmp_path / "repos/b.repo").write_text(
        f"[b]\nname=b\nbaseurl=file://{tmp_path}/b/{PLATFORM}\ngpgcheck=0\nmodule_hotfixes=1\n"
    )
    installed = subprocess.run(
        [
            "dnf", "--assumeyes", f"--installroot={tmp_path}/root", f"--setopt=reposdir={tmp_path}/repos",
            f"--setopt=cachedir={tmp_path}/cache", "--releasever=9", "--forcearch=x86_64",
            "--setopt=module_platform_id=platform:el9", "--setopt=plugins=False", "install", "podman",
            f"nvidia-driver-cuda-{version}",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout + installed.stderr


def test_a_package_that_was_replaced_makes_no_bundle(make, repositories, tmp_path):
    """The index is right, the package has another signature: dnf says so before anything is kept."""
    import rpm_build

    folder, _, _ = repositories
    theirs = rpm_build.make_key(tmp_path / "stranger")
    stranger = tmp_path / "stranger-base"
    rpm_build.publish(stranger, [rpm_build.Rpm("podman", "9.9.9")], theirs)
    text = (folder / "base.repo").read_text()
    try:
        (folder / "base.repo").write_text(
            text + f"[stranger]\nname=stranger\nbaseurl=file://{stranger}/\ngpgcheck=1\n"
            f"gpgkey=file://{folder}/base/key.asc\n"
        )
        done = make()
    finally:
        (folder / "base.repo").write_text(text)
    assert done.returncode != 0
    assert "podman-9.9.9" in done.stderr
    assert not (tmp_path / "b/SHA256SUMS").exists()
