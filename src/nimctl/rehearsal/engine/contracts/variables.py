"""Reading the environment of a rank, collecting everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import LaunchError
from ..net import is_address, split_host_port


class Variables:
    """Variables with their faults (``problems``: the rank ends) and oddities (``warnings``: it goes on)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def has(self, name: str) -> bool:
        """Whether a variable is set to something."""
        return bool(self.environment.get(name, "").strip())

    def text(self, name: str, default: str = "") -> str:
        """A variable that may be left out."""
        return self.environment.get(name, "").strip() or default

    def need(self, name: str, why: str) -> str:
        """A variable that must be set; ``why`` says what for."""
        if not self.has(name):
            state = "empty" if name in self.environment else "not set"
            self.problems.append(f"{name} is {state}: {why}")
        return self.text(name)

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number between ``low`` and ``high``, or the default where it is not set."""
        text = self.text(name)
        if not text:
            return default
        if not text.isdigit() or not low <= int(text) <= high:
            self.problems.append(f"{name}={text!r} is not a whole number between {low} and {high}")
            return default
        return int(text)

    def need_number(self, name: str, low: int, high: int, why: str) -> int:
        """A whole number that must be set."""
        self.need(name, why)
        return self.number(name, low, high, low)

    def flag(self, name: str) -> bool | None:
        """A switch: 1 or 0, true or false; None where it is not set."""
        text = self.text(name).lower()
        if text in ("1", "true"):
            return True
        if text in ("0", "false"):
            return False
        if text:
            self.problems.append(f"{name}={text!r} is neither 1 nor 0")
        return None

    def port(self, name: str, default: int) -> int:
        """A port number."""
        return self.number(name, 1, 65535, default)

    def address(self, name: str, text: str) -> str:
        """An IP address; a name is accepted with a warning, as it may resolve differently on each node."""
        if text and not is_address(text):
            try:
                split_host_port(f"{text}:1")
            except ValueError:
                self.problems.append(f"{name}={text!r} is no address")
            else:
                self.warnings.append(
                    f"{name}={text!r} is a name, not an IP address: it must resolve on every node"
                )
        return text

    def unknown(self, prefix: str, known: Iterable[str], what: str) -> None:
        """Warn of variables with the engine's prefix that it does not read."""
        known = frozenset(known)
        for name in sorted(self.environment):
            if name.startswith(prefix) and name not in known:
                self.warnings.append(f"{name} is {what} and is ignored")

    def check(self) -> None:
        """Raise LaunchError with every fault found."""
        if self.problems:
            raise LaunchError(self.problems)
