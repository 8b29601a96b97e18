import base64
import dataclasses

import pytest

from nimctl.errors import RejectedError
from nimctl.run import secrets
from nimctl.run.redact import MASK, Redactor, forms
from nimctl.run.target import load

KEY = "nvapi-Zk3_x-9/secret+value"


def test_only_what_a_rank_uses_is_needed(target):
    # ngc_api_key is described, but nothing is pulled from nvcr.io and no rank asks for it.
    assert list(secrets.needed(target.placement)) == ["pull_key"]


def test_a_missing_secret_is_found_and_says_what_to_do(target, monkeypatch):
    monkeypatch.delenv("PULL_KEY", raising=False)
    with pytest.raises(RejectedError) as caught:
        secrets.check(target.placement)
    text = str(caught.value)
    assert "pull_key" in text
    assert "registry.lab:5000/rehearsal" in text
    assert "export PULL_KEY" in text
    assert caught.value.exit_code == 2


def test_a_secret_that_is_set_is_enough(target, monkeypatch):
    monkeypatch.setenv("PULL_KEY", KEY)
    monkeypatch.delenv("NGC_API_KEY", raising=False)
    secrets.check(target.placement)


def test_a_secret_that_is_blank_is_not_set(target, monkeypatch):
    monkeypatch.setenv("PULL_KEY", "  \n")
    with pytest.raises(RejectedError, match="is not set"):
        secrets.check(target.placement)
    assert secrets.values(target.placement.cluster) == []


def test_a_key_that_a_rank_needs_itself_is_needed(target):
    first, *rest = target.placement.ranks
    placement = dataclasses.replace(
        target.placement, ranks=(dataclasses.replace(first, secrets=("NGC_API_KEY",)), *rest)
    )
    assert "ngc_api_key" in secrets.needed(placement)
    others = [node for node in target.nodes if node != first.node]
    assert "ngc_api_key" not in secrets.needed(placement, others)


def test_a_file_secret_is_read_beside_the_description(inventory, monkeypatch):
    text = (inventory / "cluster.yml").read_text().replace("{env: PULL_KEY}", "{file: keys/pull}")
    (inventory / "cluster.yml").write_text(text)
    (inventory / "keys").mkdir()
    (inventory / "keys" / "pull").write_text(KEY + "\n")
    (inventory / "keys" / "pull").chmod(0o644)
    placement = load(inventory).placement
    with pytest.raises(RejectedError, match=r"everybody .* chmod 600"):
        secrets.check(placement)
    (inventory / "keys" / "pull").chmod(0o600)
    secrets.check(placement)
    assert KEY in secrets.values(placement.cluster)
    (inventory / "keys" / "pull").write_text("\n")
    with pytest.raises(RejectedError, match="missing, empty or not readable"):
        secrets.check(placement)


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"$oauthtoken:"])
@pytest.mark.parametrize("after", [b"", b"x", b"xy", b"xyz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_at_every_offset(before, after, encode):
    encoded = encode(before + KEY.encode() + after).decode()
    masked = Redactor([KEY]).text(f"auth: {encoded}")
    assert MASK in masked
    # What is left over at both ends tells no three characters of the key in a row.
    for start in range(len(KEY) - 8):
        assert not any(form in masked for form in forms(KEY[start : start + 9]))


def test_raw_and_quoted_values_are_masked_in_nested_data():
    data = {"a": [f"x{KEY}y", {"b": KEY}], KEY: 1, "n": 3, "url": "nvapi-Zk3_x-9%2Fsecret%2Bvalue"}
    masked = Redactor([KEY]).data(data)
    assert "secret" not in str(masked)
    assert masked["n"] == 3


def test_short_values_are_left_alone():
    assert Redactor(["root"]).text("root of the tree") == "root of the tree"
