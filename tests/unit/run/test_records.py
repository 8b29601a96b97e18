import json
import stat

import pytest

from nimctl.errors import NimctlError
from nimctl.run.events import Event
from nimctl.run.records import EVENTS, SUMMARY, Record, prune
from nimctl.run.redact import Redactor

KEY = "nvapi-0123456789"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_record_is_private_and_holds_no_secret(tmp_path):
    record = Record.open(tmp_path / ".nimctl" / "runs", "provision", Redactor([KEY]))
    record.event(Event("failed", host="a1", task="Pull", result={"msg": f"bad key {KEY}"}))
    record.event(Event("ok", host="a1", task="Write", result={"changed": True, "content": "long", "rc": 0}))
    record.close({"result": "failed", "message": f"bad key {KEY}"})
    assert mode(record.folder) == mode(tmp_path / ".nimctl") == 0o700
    assert mode(record.folder / EVENTS) == mode(record.folder / SUMMARY) == 0o600
    text = (record.folder / EVENTS).read_text() + (record.folder / SUMMARY).read_text()
    assert KEY not in text
    failed, ok = [json.loads(line) for line in (record.folder / EVENTS).read_text().splitlines()]
    assert failed["message"] == "bad key ********"
    assert ok == {"kind": "ok", "task": "Write", "host": "a1", "changed": True, "result": {"rc": 0}}


def test_hidden_results_stay_hidden(tmp_path):
    record = Record.open(tmp_path / "runs", "provision", Redactor([]))
    record.event(Event("ok", host="a1", result={"censored": "hidden", "changed": True, "rc": 0}))
    record.close({})
    assert json.loads((record.folder / EVENTS).read_text()) == {"kind": "ok", "host": "a1", "changed": True}


def test_the_newest_records_are_kept_and_running_ones_are_not_removed(tmp_path):
    for number in range(7):
        folder = tmp_path / f"2026010{number}T000000.000Z-provision-aaaa"
        folder.mkdir()
        (folder / EVENTS).touch()
        if number != 2:
            (folder / SUMMARY).touch()
    (tmp_path / "notes").mkdir()
    prune(tmp_path, 3)
    assert sorted(path.name[:8] for path in tmp_path.iterdir()) == [
        "20260102",
        "20260104",
        "20260105",
        "20260106",
        "notes",
    ]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NimctlError, match=r"cannot be written.*--run-dir"):
        Record.open(tmp_path / "file" / "runs", "provision", Redactor([]))
