from pathlib import Path

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.openpgp import MalformedKeyError, fingerprints

KEY = (Path(__file__).parent / "fixtures" / "key.asc").read_text()
# As gpg --list-keys --with-colons shows it.
FINGERPRINT = "33B506569FFF292CCF5D31B7393A1DCDE760EA6C"


def test_the_fingerprint_is_that_of_gpg():
    assert fingerprints(KEY) == [FINGERPRINT]


def test_a_second_key_in_the_file_is_seen():
    assert fingerprints(KEY + KEY) == [FINGERPRINT, FINGERPRINT]


def test_a_changed_key_has_another_fingerprint():
    lines = KEY.splitlines()
    body = lines[4]
    lines[4] = body.replace(body[10], "A" if body[10] != "A" else "B", 1)
    assert fingerprints("\n".join(lines)) != [FINGERPRINT]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>404</html>",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
        KEY[:400] + "\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(MalformedKeyError):
        fingerprints(text)
