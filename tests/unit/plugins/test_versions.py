import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.versions import numbers, older, refusal


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("20.10.24+dfsg1-1+b3", (20, 10, 24)),
        ("5:27.3.1-1~debian.12~bookworm", (27, 3, 1)),
        ("29.1.3-0ubuntu3~24.04.2", (29, 1, 3)),
        ("4.3.1+ds1-8+deb12u1", (4, 3, 1)),
        ("", ()),
    ],
)
def test_numbers_of_versions_as_distributions_write_them(version, expected):
    assert numbers(version) == expected


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("20.10.24", "25.0", True),
        ("25.0", "25", False),
        ("25", "25.0.0", False),
        ("4.10", "4.9", False),
        ("4.0.9", "4.1", True),
    ],
)
def test_order(version, minimum, expected):
    assert older(version, minimum) is expected


def test_the_refusal_says_what_to_do():
    text = refusal("docker", "20.10.24", "25.0", "GPUs by CDI", installed=False)
    assert (
        "docker 20.10.24 is what the distribution offers, and at least 25.0 is needed for GPUs by CDI."
        in text
    )
    assert "source to docker" in text
    assert "podman" in text
    assert "has to go first" in refusal("docker", "20.10", "25.0", "", installed=True)
    assert "newer release" in refusal("podman", "3.4.4", "4.1", "GPUs by CDI", installed=False)
