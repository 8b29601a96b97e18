"""Keep services from starting by being installed, by Debian's policy layer."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Written by nimctl while it installs packages.\nexit 101\n"


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Keep packages from starting their services; somebody else's policy stays.

    One of ours that a killed run left behind is taken over, and goes at the end.
    """
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
