from pathlib import Path

from nimctl.suggest import command


def test_a_command_can_be_pasted_into_a_shell():
    assert command(Path("inventories/prod"), "status") == "nimctl status -i inventories/prod"
    assert command(Path("my lab"), "logs", "--rank", "a-0-0") == "nimctl logs -i 'my lab' --rank a-0-0"


def test_a_folder_that_nobody_knows_is_dir():
    assert command(None, "lock") == "nimctl lock -i DIR"
