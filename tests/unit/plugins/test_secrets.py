import pytest
from ansible_collections.nimctl.multinode.plugins.plugin_utils.secrets import SecretError, read_secret


def read(sources, name="ngc_api_key", variables=None):
    return read_secret(name, sources, lambda variable: (variables or {}).get(variable), "pulling x")


def test_from_the_environment(monkeypatch):
    monkeypatch.setenv("KEY", "value\n")
    assert read({"ngc_api_key": {"env": "KEY"}}) == "value"


def test_from_a_file(tmp_path):
    (tmp_path / "key").write_text("value\n")
    (tmp_path / "key").chmod(0o600)
    assert read({"ngc_api_key": {"file": str(tmp_path / "key")}}) == "value"


def test_from_a_vaulted_variable():
    assert read({"ngc_api_key": {"vault": "the_key"}}, variables={"the_key": "value"}) == "value"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, "has none of that name"),
        ({"ngc_api_key": {"env": "SURELY_NOT_SET"}}, "export SURELY_NOT_SET="),
        ({"ngc_api_key": {"file": "/surely/not/there"}}, "/surely/not/there cannot be read: No such file"),
        ({"ngc_api_key": {"vault": "missing"}}, "the Ansible variable missing is empty"),
    ],
)
def test_a_secret_that_cannot_be_read_says_what_needs_it_and_what_to_do(sources, message):
    with pytest.raises(SecretError, match="pulling x needs the secret ngc_api_key") as error:
        read(sources)
    assert message in str(error.value)


def test_a_secret_never_stands_in_a_message(tmp_path):
    (tmp_path / "key").write_text("  \n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SecretError, match="is empty"):
        read({"ngc_api_key": {"file": str(tmp_path / "key")}})


def test_a_file_that_everybody_can_read_is_refused(tmp_path):
    (tmp_path / "key").write_text("value\n")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(SecretError, match=r"everybody .* chmod 600") as error:
        read({"ngc_api_key": {"file": str(tmp_path / "key")}})
    assert "value" not in str(error.value)


def test_a_file_that_is_not_text_is_no_secret(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SecretError, match="is not text"):
        read({"ngc_api_key": {"file": str(tmp_path / "key")}})
