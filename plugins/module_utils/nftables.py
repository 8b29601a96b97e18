"""The table of a cluster in the kernel, its file and unit, and the timer that takes new rules back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    File,
    Record,
    reconcile,
    write_atomic,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.firewall import (
    Wanted,
    removal,
    rules,
    table_of,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run, show

MEMORY = Path("/run/nimctl/firewall")
NFT = "/usr/sbin/nft"
UNIT = """# Written by nimctl.
[Unit]
Description=Firewall of the ranks of cluster {cluster}
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
# It begins by flushing every table, at its start, stop and reload.
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {file}
ExecReload={nft} -f {file}
ExecStop=-{nft} delete table inet {table}

[Install]
WantedBy=sysinit.target
"""


class Firewall:
    """The firewall of one cluster on this node."""

    def __init__(self, run: Run, cluster: str, check: bool) -> None:
        self._run = run
        self._check = check
        self._cluster = cluster
        self._table = table_of(cluster)
        self._file = f"/etc/nimctl/firewall/{cluster}.nft"
        self._service = f"nimctl-firewall-{cluster}.service"
        self._rollback = f"nimctl-firewall-{cluster}-rollback"
        self._old = MEMORY / f"{cluster}.old.nft"
        self._new = MEMORY / f"{cluster}.new.nft"
        self._record = Record(f"firewall_{cluster}", "files")
        self.changed = False
        self.diff: list[dict[str, str]] = []

    def is_here(self) -> bool:
        """Whether this node has a firewall of the cluster."""
        return bool(self._record.content)

    def load(self, wanted: Wanted, seconds: int, only_look: bool) -> bool:
        """Load the rules, if they are not there; returns whether they wait for a fresh connection."""
        text = rules(self._table, wanted)
        if shutil.which("nft") is None:
            if not self._check or only_look:
                raise NodeError("nftables is not installed on this node: there is no nft. Install it.")
            # The same run would install it.
            self._differs("", text)
            return False
        live, meant = self._listing(), self._meant(text)
        waits = self._waits()
        if live != meant:
            self._differs(live, meant)
        elif waits or not self._kept(text):
            self.changed = True
        if only_look and self.changed:
            raise NodeError(
                f"The firewall of the cluster {self._cluster} is not as described, and only to be checked: "
                f"compare `nft list table inet {self._table}` with what a run in check mode shows."
            )
        if self._check or not self.changed:
            return False
        if live == meant and not waits:
            self._keep(text)
            return False
        if not waits:
            write_atomic(self._old, removal(self._table) + live, 0o600)
        write_atomic(self._new, text, 0o600)
        self._wait(seconds)
        try:
            self._nft("-f", str(self._new))
        except NodeError:
            self._stop_waiting()
            raise
        return True

    def confirm(self, wanted: Wanted) -> None:
        """Keep the rules that were loaded. Raises NodeError where the timer was faster."""
        text = rules(self._table, wanted)
        self._stop_waiting()
        if self._listing() != self._meant(text):
            raise NodeError(
                "The former firewall rules are back: no fresh connection came in time to keep the new ones. "
                "Nothing else was changed. Give `stack.firewall.confirm` more time, and run again."
            )
        self._keep(text)
        self.changed = True
        self._forget()

    def restore(self) -> None:
        """Bring the former rules back at once."""
        if self._old.exists():
            self._nft("-f", str(self._old))
            self.changed = True
        self._stop_waiting()
        self._forget()

    def remove(self) -> None:
        """Take away table, unit, file and timer."""
        live = self._listing() if shutil.which("nft") else ""
        left = self._record.content.get("files", [])
        if not live and not left and not self._waits():
            return
        self._differs(live, "")
        if self._check:
            return
        self._stop_waiting()
        if left:
            self._systemctl("disable", "--now", "--quiet", self._service)
        if live:
            self._nft("-f", "-", data=removal(self._table))
        reconcile([], self._record, False)
        self._systemctl("daemon-reload")
        self._forget()

    def _files(self, text: str) -> list[File]:
        unit = UNIT.format(cluster=self._cluster, nft=NFT, file=self._file, table=self._table)
        return [File(self._file, text), File(f"/etc/systemd/system/{self._service}", unit)]

    def _kept(self, text: str) -> bool:
        if reconcile(self._files(text), self._record, True).changed:
            return False
        state = show(self._run, [self._service], ["ActiveState", "UnitFileState"])[self._service]
        return (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled")

    def _keep(self, text: str) -> None:
        reconcile(self._files(text), self._record, False)
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--now", "--quiet", self._service)

    def _listing(self) -> str:
        """The table without counters, as the kernel has it; empty where there is none."""
        status, out, _ = self._run([NFT, "--stateless", "list", "table", "inet", self._table])
        return out if status == 0 else ""

    def _meant(self, text: str) -> str:
        """How the kernel would list these rules: loaded in a network of their own, for nobody."""
        script = f"{NFT} -f - && {NFT} --stateless list table inet {self._table}"
        status, out, err = self._run(["unshare", "--net", "sh", "-c", script], data=text)
        if status != 0:
            raise NodeError(f"nft does not take the firewall's rules. Nothing was changed.\n{err.strip()}")
        return str(out)

    def _waits(self) -> bool:
        timer = f"{self._rollback}.timer"
        return show(self._run, [timer], ["ActiveState"])[timer]["ActiveState"] == "active"

    def _wait(self, seconds: int) -> None:
        self._stop_waiting()
        command = [
            "systemd-run",
            f"--unit={self._rollback}",
            f"--on-active={seconds}",
            "--timer-property=AccuracySec=1s",
            "--quiet",
            NFT,
            "-f",
            str(self._old),
        ]
        self._order(command)

    def _stop_waiting(self) -> None:
        if self._waits():
            self._systemctl("stop", f"{self._rollback}.timer")

    def _forget(self) -> None:
        for path in (self._old, self._new):
            if path.exists():
                path.unlink()

    def _differs(self, before: str, after: str) -> None:
        self.changed = True
        header = f"table inet {self._table}"
        self.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})

    def _systemctl(self, *arguments: str) -> None:
        self._order(["systemctl", *arguments])

    def _nft(self, *arguments: str, **options: Any) -> None:
        self._order([NFT, *arguments], **options)

    def _order(self, command: list[str], **options: Any) -> None:
        status, out, err = self._run(command, **options)
        if status != 0:
            raise NodeError(f"{' '.join(command)} failed: {err.strip() or out.strip()}")
