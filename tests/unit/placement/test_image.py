"""Image references."""

from __future__ import annotations

import pytest

from nimctl.image import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("debian", "docker.io", "library/debian", "latest", None),
        ("vllm/vllm-openai:v0.25.0", "docker.io", "vllm/vllm-openai", "v0.25.0", None),
        ("nvcr.io/nim/a/b:1.7.3", "nvcr.io", "nim/a/b", "1.7.3", None),
        ("10.0.0.1:5000/rehearsal:1", "10.0.0.1:5000", "rehearsal", "1", None),
        ("10.0.0.1:5000/rehearsal", "10.0.0.1:5000", "rehearsal", "latest", None),
        ("localhost/x:1", "localhost", "x", "1", None),
        ("[fd00::1]:5000/x:1", "[fd00::1]:5000", "x", "1", None),
        (f"nvcr.io/a:1@{DIGEST}", "nvcr.io", "a", "1", DIGEST),
        (f"nvcr.io/a@{DIGEST}", "nvcr.io", "a", None, DIGEST),
    ],
)
def test_parse(text: str, registry: str, repository: str, tag: str | None, digest: str | None) -> None:
    found = parse(text)
    assert (found.registry, found.repository, found.tag, found.digest) == (registry, repository, tag, digest)
    assert parse(str(found)) == found
    assert found.pinned(DIGEST) == f"{registry}/{repository}@{DIGEST}"
