"""A bundle is read only as it was made: a folder and a tar alike."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nimctl.bundle.layout import read_sums
from nimctl.bundle.store import AlteredError, open_bundle, verify
from nimctl.errors import RejectedError

PACKAGE = "packages/debian-13-x86_64/podman.deb"


def test_an_unaltered_bundle_is_accepted_with_progress_in_bytes(bundle: Path) -> None:
    store = open_bundle(bundle)
    told: list[int] = []
    verify(store, told.append)
    assert sum(told) == sum(store.size(path) for path in store.sums)
    assert store.about.cluster == "test"
    with store.open(PACKAGE) as stream:
        assert stream.read() == b"a package"


def test_checksums_can_be_checked_without_nimctl(make: Callable[..., Path]) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=make(), check=True)


def test_the_same_content_has_the_same_id_as_folder_and_tar(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make()
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(folder, ".")
    assert open_bundle(folder).id == open_bundle(tmp_path / "b.tar").id


def test_every_altered_and_missing_file_is_named(make: Callable[..., Path]) -> None:
    folder = make()
    (folder / PACKAGE).write_bytes(b"another")
    (folder / "weights/manifest.json").unlink()
    with pytest.raises(AlteredError) as refused:
        verify(open_bundle(folder))
    assert f"{PACKAGE} was altered" in str(refused.value)
    assert "weights/manifest.json is missing" in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_altered_tar_is_named_too(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = make()
    (folder / PACKAGE).write_bytes(b"A package")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(folder, ".")
    with pytest.raises(AlteredError, match=r"podman\.deb was altered"):
        verify(open_bundle(tmp_path / "b.tar"))


def test_a_bundle_that_was_not_finished_is_none(make: Callable[..., Path]) -> None:
    folder = make()
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(RejectedError, match="lacks the file SHA256SUMS"):
        verify(open_bundle(folder))


def test_a_tar_that_was_cut_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"bundle.json" + b"\0" * 100)
    with pytest.raises(RejectedError, match="cut off"):
        open_bundle(tmp_path / "b.tar")


def test_a_path_that_leads_nowhere_is_none(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="there is no bundle"):
        open_bundle(tmp_path / "none")


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "a//b", "./a"])
def test_no_file_lies_outside_of_a_bundle(path: str) -> None:
    with pytest.raises(RejectedError, match="below the bundle"):
        read_sums(f"{'0' * 64}  {path}\n", "SHA256SUMS")


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"format": 2}', "found bundle format 2"), ("[]", "is not what nimctl bundle writes"), ("{", "is not")],
)
def test_something_else_is_refused(make: Callable[..., Path], text: str, said: str) -> None:
    folder = make()
    (folder / "bundle.json").write_text(text)
    with pytest.raises(RejectedError, match=said):
        _ = open_bundle(folder).about
