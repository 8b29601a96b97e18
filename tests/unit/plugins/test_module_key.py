"""The firmware is asked once to enroll a key, and asked again where the request or its password is lost."""

import hashlib

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.modules import module_key

OTHER = "[key 1]\nSHA1 Fingerprint: " + ":".join(["aa"] * 20) + "\n"


@pytest.fixture
def node(tmp_path, monkeypatch, run_module, ours):
    """A node with mokutil and dkms, whose firmware keeps certificates that somebody has to confirm."""
    certificate, password = tmp_path / "mok.pub", tmp_path / "state/password"

    class Node:
        programs = frozenset({"mokutil", "dkms"})
        refuses = ""
        short = False
        passwords = ()

        def __init__(self):
            self.waiting = ""
            self.certificate, self.password = certificate, password

        def asks(self):
            """What the firmware asks at the next boot: a password, or nothing."""
            return self.passwords[-1] if self.waiting else None

        def __call__(self, command, data=""):
            match command:
                case ["dkms", "generate_mok"]:
                    certificate.write_bytes(b"certificate")
                case ["mokutil", "--list-new"]:
                    return (0, self.waiting or "MokNew is empty\n", "")
                case ["mokutil", "--import", _] if self.refuses:
                    return (255, "", self.refuses)
                case ["mokutil", "--import", path]:
                    if self.has_ours():
                        return (0, f"SKIP: {path} is already in the enrollment request\n", "")
                    first, again = data.split()
                    assert first == again
                    self.passwords = (*self.passwords, first)
                    fingerprint = hashlib.sha1(certificate.read_bytes()).hexdigest()
                    pairs = ":".join(fingerprint[i : i + 2] for i in range(0, 40, 2))
                    full = f"[key 1]\nSHA1 Fingerprint: {pairs}\nCertificate:\n"
                    self.waiting += f"{fingerprint[:10]} DKMS module signing key\n" if self.short else full
                case ["mokutil", "--delete", path]:
                    assert self.has_ours(), "it would be a request to delete the key"
                    self.waiting = ""
                    return (0, f"Removed {path} from MokNew\n", "")
            return (0, "", "")

        def has_ours(self):
            return hashlib.sha1(certificate.read_bytes()).hexdigest()[:10] in self.waiting.replace(":", "")

        def run(self, state="present", check=False):
            return run_module(module_key, self, check, state=state, password_file=str(password))

    found = Node()
    monkeypatch.setattr(module_key, "CERTIFICATES", (tmp_path / "shim-signed/MOK.der", certificate))
    monkeypatch.setattr(
        module_key.shutil, "which", lambda name: f"/usr/bin/{name}" if name in found.programs else None
    )
    return found


def test_a_key_is_made_and_the_firmware_is_asked_to_enroll_it(node):
    done = node.run()
    assert done["changed"]
    assert done["key"] == str(node.certificate)
    assert node.asks() == node.password.read_text().strip()
    assert node.password.stat().st_mode & 0o777 == 0o600
    assert str(node.password) in done["pending"][0]


def test_the_password_is_on_no_command_line_and_not_in_the_answer(node):
    assert node.asks() is None
    done = node.run()
    assert node.asks() not in str(done)


@pytest.mark.parametrize("short", [False, True], ids=["mokutil 0.6", "mokutil 0.7"])
def test_a_second_run_asks_nothing_anew(node, short):
    node.short = short
    node.run()
    done = node.run()
    assert not done["changed"]
    assert done["pending"]
    assert len(node.passwords) == 1


def test_a_key_that_is_there_is_used(node):
    node.certificate.write_bytes(b"somebody's")
    assert "dkms generate_mok" not in node.run()["commands"]
    assert node.certificate.read_bytes() == b"somebody's"


@pytest.mark.parametrize("left", ["", OTHER])
def test_a_request_that_was_passed_over_at_the_console_is_made_again(node, left):
    node.run()
    node.waiting = left
    assert node.run()["changed"]
    assert node.asks() == node.password.read_text().strip()
    assert node.has_ours()


def test_a_request_whose_password_nobody_knows_is_replaced(node):
    node.run()
    node.password.unlink()
    assert node.run()["changed"]
    assert node.passwords[0] != node.passwords[1]
    assert node.asks() == node.password.read_text().strip()


def test_check_mode_changes_nothing(node):
    done = node.run(check=True)
    assert done["changed"]
    assert not node.certificate.exists()
    assert not node.password.exists()
    assert node.asks() is None


@pytest.mark.parametrize(
    ("programs", "words"),
    [({"dkms"}, "mokutil is missing"), ({"mokutil"}, "DKMS is not installed")],
)
def test_what_is_missing_is_named(node, programs, words):
    node.programs = programs
    with pytest.raises(NodeError, match=words):
        node.run()
    assert not node.password.exists()


def test_firmware_that_refuses_is_an_error_and_the_next_run_asks_again(node):
    node.refuses = "EFI variables are not supported on this system"
    with pytest.raises(NodeError, match="EFI variables are not supported"):
        node.run()
    node.refuses = ""
    assert node.run()["changed"]
    assert node.asks() == node.password.read_text().strip()


def test_a_request_is_taken_back_and_the_key_stays(node):
    node.run()
    assert node.run("absent", check=True)["changed"]
    assert node.password.exists()
    assert node.run("absent")["changed"]
    assert node.asks() is None
    assert not node.password.exists()
    assert node.certificate.exists()
    assert not node.run("absent")["changed"]


def test_a_key_that_is_enrolled_by_now_is_not_deleted(node):
    node.run()
    node.waiting = ""
    assert node.run("absent")["changed"]
    assert not node.password.exists()


def test_a_request_of_somebody_else_stays(node):
    node.certificate.write_bytes(b"somebody's")
    node.waiting = OTHER
    assert not node.run("absent")["changed"]
    assert node.waiting == OTHER
