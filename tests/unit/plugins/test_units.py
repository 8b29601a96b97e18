"""The module `units` against a systemd that keeps its units in a dictionary."""

import time

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.units import Unit, Units

NAME = "nvidia-persistenced.service"


class Systemd:
    """Answers systemctl; ``units`` maps names to properties, ``ranks`` are units of ranks that run."""

    def __init__(self):
        self.units = {}
        self.ranks = []
        self.conditions = {}
        self.orders = []
        self.invocations = 0

    def has(self, name, active="inactive", enabled="disabled", load="loaded", **more):
        self.invocations += 1
        self.units[name] = {
            "LoadState": load,
            "ActiveState": active,
            "UnitFileState": enabled,
            "NeedDaemonReload": "no",
            "InvocationID": f"{self.invocations:032x}" if active == "active" else "",
            "ConditionResult": "no",
            "ConditionTimestampMonotonic": "0",
            "InactiveExitTimestampMonotonic": str(int(time.monotonic() * 1e6)) if active == "active" else "0",
            "RequiredBy": "",
            "BoundBy": "",
            "ConsistsOf": "",
            **more,
        }

    def __call__(self, command):
        verb, rest = command[1], [word for word in command[2:] if not word.startswith("--")]
        if verb == "show":
            missing = {"LoadState": "not-found", "ActiveState": "inactive"}
            blocks = [{"Id": name, **self.units.get(name, missing)} for name in rest]
            return 0, "\n\n".join("\n".join(f"{k}={v}" for k, v in b.items()) for b in blocks), ""
        if verb == "list-units":
            return 0, "".join(f"{rank} loaded active running\n" for rank in self.ranks), ""
        self.orders.append(" ".join([verb, *rest]))
        for name in rest:
            self._obey(verb, name)
        return 0, "", ""

    def _obey(self, verb, name):
        unit = self.units.get(name)
        if unit is None:
            self.has(name)
            unit = self.units[name]
        if verb in ("enable", "disable"):
            unit["UnitFileState"] = f"{verb}d"
        elif verb == "stop":
            unit.update(ActiveState="inactive", InvocationID="")
        elif verb in ("start", "restart"):
            if not self.conditions.get(name, True):
                unit.update(ConditionResult="no", ConditionTimestampMonotonic="7")
                return
            self.invocations += 1
            unit.update(
                ActiveState="active",
                ConditionResult="yes",
                ConditionTimestampMonotonic="7",
                InvocationID=f"{self.invocations:032x}",
                InactiveExitTimestampMonotonic=str(int(time.monotonic() * 1e6)),
            )


@pytest.fixture
def systemd():
    return Systemd()


@pytest.fixture
def have(systemd, tmp_path, ours):
    def call(*units, check=False, told=False):
        systemd.orders.clear()
        record = Record("driver", "units", tmp_path / "state")
        return Units(systemd, record, "driver", check, told, tmp_path / "system").apply(units)

    return call


def test_a_unit_is_enabled_and_started_once(have, systemd):
    systemd.has(NAME)
    wanted = Unit(NAME, enabled=True, state="started")
    assert have(wanted, check=True).did == [f"enable {NAME}", f"start {NAME}"]
    assert systemd.orders == []
    assert have(wanted).did == [f"enable {NAME}", f"start {NAME}"]
    assert not have(wanted).changed


def test_a_drop_in_is_read_and_the_unit_restarted(have, systemd, tmp_path):
    systemd.has(NAME, active="active", enabled="enabled")
    wanted = Unit(NAME, drop_in="[Unit]\nConditionPathExists=/dev/nvidia0\n")
    assert have(wanted).did == ["daemon-reload", f"restart {NAME}"]
    assert (tmp_path / f"system/{NAME}.d/50-nimctl-driver.conf").read_text() == wanted.drop_in
    assert not have(wanted).changed


def test_an_interrupted_run_is_finished_by_the_next(have, systemd, tmp_path):
    systemd.has(NAME, active="active", enabled="enabled")
    wanted = Unit(NAME, drop_in="[Service]\nNice=5\n")
    original = systemd._obey

    def dies(verb, name):
        raise KeyboardInterrupt

    systemd._obey = dies
    with pytest.raises(KeyboardInterrupt):
        have(wanted)
    systemd._obey = original
    assert f"restart {NAME}" in have(wanted).did
    assert not have(wanted).changed


def test_a_file_that_it_reads_restarts_it_when_it_changed_since_its_start(have, systemd, tmp_path):
    file = tmp_path / "fabricmanager.cfg"
    file.write_text("LOG_LEVEL=4\n")
    began = str(int((time.monotonic() - 60) * 1e6))
    systemd.has(NAME, active="active", InactiveExitTimestampMonotonic=began)
    wanted = Unit(NAME, state="started", restart_on=(str(file), "/nowhere"))
    assert have(wanted).did == [f"restart {NAME}"]
    assert not have(wanted).changed


def test_what_ranks_need_waits_for_them(have, systemd):
    systemd.has(NAME, active="active", RequiredBy="nim-r1-0-0.service")
    systemd.has("nim-r1-0-0.service", active="active")
    systemd.ranks = ["nim-r1-0-0.service"]
    wanted = Unit(NAME, state="stopped")
    result = have(wanted)
    assert result.did == []
    assert "nim-r1-0-0.service" in result.pending[0]
    assert "Drain the node" in result.pending[0]
    assert have(wanted, told=True).did == [f"stop {NAME}"]


def test_ranks_that_do_not_depend_on_it_are_no_obstacle(have, systemd):
    systemd.has(NAME, active="active")
    systemd.ranks = ["nim-r1-0-0.service"]
    assert have(Unit(NAME, state="stopped")).did == [f"stop {NAME}"]


def test_what_disturbs_ranks_without_systemd_knowing_waits_too(have, systemd):
    systemd.has(NAME, active="active")
    systemd.ranks = ["nim-r1-0-0.service"]
    assert have(Unit(NAME, state="stopped", disturbs_ranks=True)).pending


def test_a_unit_whose_condition_is_not_met_is_skipped_without_a_change(have, systemd):
    systemd.has(NAME)
    systemd.conditions[NAME] = False
    result = have(Unit(NAME, state="started"))
    assert (result.skipped, result.changed) == ([NAME], False)


def test_a_missing_unit_names_what_to_look_at(have):
    with pytest.raises(NodeError, match=r"no unit nvidia-persistenced\.service.*package"):
        have(Unit(NAME, state="started"))


def test_a_masked_unit_is_somebodys_decision(have, systemd):
    systemd.has(NAME, load="masked")
    with pytest.raises(NodeError, match="systemctl unmask"):
        have(Unit(NAME, enabled=True))


def test_systemd_that_has_to_read_anew_does_although_no_file_changed(have, systemd):
    systemd.has(NAME, active="active", NeedDaemonReload="yes")
    assert "daemon-reload" in have(Unit(NAME, state="started")).did


def test_what_is_no_longer_looked_after_gets_its_former_state_back(have, systemd, tmp_path):
    systemd.has(NAME)
    have(Unit(NAME, enabled=True, state="started", drop_in="[Service]\nNice=5\n"))
    assert have().did[:2] == [f"stop {NAME}", f"disable {NAME}"]
    assert not list(tmp_path.glob("system/**/*.conf"))
    assert not have().changed


def test_a_unit_that_ran_before_us_runs_after_us(have, systemd):
    systemd.has(NAME, active="active", enabled="enabled")
    have(Unit(NAME, enabled=True, state="started"))
    assert have().did == []
    assert systemd.units[NAME]["ActiveState"] == "active"


def test_a_unit_of_our_own_is_written_and_taken_away(have, systemd, tmp_path):
    wanted = Unit("nimctl-governor.service", True, "started", definition="[Service]\nType=oneshot\n")
    assert have(wanted).did == ["daemon-reload", f"enable {wanted.name}", f"start {wanted.name}"]
    have()
    assert not (tmp_path / "system" / wanted.name).exists()
