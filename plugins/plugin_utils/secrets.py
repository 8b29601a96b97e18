"""Reading the secrets of a cluster on the controller, at the moment they are needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class SecretError(Exception):
    """A secret cannot be read; the message names its source and never its value."""


def read_secret(
    name: str, sources: Mapping[str, Mapping[str, str]], variable: Callable[[str], Any], need: str
) -> str:
    """The value of one entry of ``nim_secrets``.

    ``variable`` gives the value of an Ansible variable; ``need`` says what needs the secret, for the message.
    """
    source = sources.get(name)
    if source is None:
        raise SecretError(
            f"{need} needs the secret {name}, and the description has none of that name. Add it under "
            "secrets."
        )
    if source.get("env"):
        value = os.environ.get(source["env"], "")
        where = (
            f"the environment variable {source['env']} is not set here. Set it: export {source['env']}=..."
        )
    elif source.get("file"):
        path = Path(source["file"])
        try:
            mode = path.stat().st_mode
            value = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SecretError(
                f"{need} needs the secret {name}, and {path} cannot be read: {reason}."
            ) from error
        if mode & stat.S_IROTH:
            raise SecretError(
                f"{need} needs the secret {name}, and everybody on this machine can read {path}. "
                f"Run: chmod 600 {path}"
            )
        where = f"{path} is empty."
    else:
        value = str(variable(source["vault"]) or "")
        where = f"the Ansible variable {source['vault']} is empty."
    value = value.strip()
    if not value:
        raise SecretError(f"{need} needs the secret {name}, and {where}")
    return value
