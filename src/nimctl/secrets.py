"""Read a secret where its source says, on the controller, when it is needed and not before."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nimctl.cluster import Cluster
from nimctl.errors import NimctlError


class SecretError(NimctlError):
    """A secret cannot be read; the message never holds its value."""


Vault = Callable[[str], str]
"""Gives the decrypted value of an Ansible variable, empty where there is none."""


def read_secret(cluster: Cluster, name: str, purpose: str, vault: Vault | None = None) -> str:
    """The value of a secret of the description; raises SecretError that says what it was needed for.

    ``vault`` is for callers inside Ansible, who have its variables at hand.
    """
    source = cluster.secrets.get(name)
    where = f"the secret {name} is needed for {purpose}"
    if source is None:
        raise SecretError(
            f"{where}, but `secrets` in cluster.yml has no {name}; add {name}: {{env: {name.upper()}}}"
        )
    if source.env is not None:
        value = os.environ.get(source.env, "").strip()
        if not value:
            raise SecretError(
                f"{where}, but the environment variable {source.env} is not set; export it first"
            )
        return value
    folder = cluster.file.parent if cluster.file else Path.cwd()
    if source.file is not None:
        return _from_file(folder / Path(source.file).expanduser(), where)
    assert source.vault is not None
    value = vault(source.vault).strip() if vault is not None else _from_vault(folder, source.vault, where)
    if not value:
        raise SecretError(
            f"{where}, but no variable {source.vault} is in group_vars/ or host_vars/ of the inventory"
        )
    return value


def _from_file(path: Path, where: str) -> str:
    try:
        mode = path.stat().st_mode
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SecretError(f"{where}, but {path} cannot be read: {reason}") from error
    if mode & stat.S_IROTH:
        raise SecretError(
            f"{where}, but everybody on this machine can read {path}; run `chmod 600 {path}` first"
        )
    if not value:
        raise SecretError(f"{where}, but {path} is empty")
    return value


def _from_vault(folder: Path, variable: str, where: str) -> str:
    """A vaulted variable, decrypted by Ansible with the vault passwords of its configuration."""
    # Imported here: loading Ansible takes long, and few descriptions need it.
    from ansible import constants
    from ansible.cli import CLI
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    loader: Any = DataLoader()
    try:
        identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
        loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=identities, auto_prompt=False))
        inventory = InventoryManager(loader=loader, sources=[str(folder)])
        hosts = inventory.get_hosts()
        variables = VariableManager(loader=loader, inventory=inventory).get_vars(
            host=hosts[0] if hosts else None
        )
        return str(variables[variable]).strip() if variable in variables else ""
    except AnsibleError as error:
        raise SecretError(
            f"{where}, but the variable {variable} cannot be decrypted: {error}. "
            "Set ANSIBLE_VAULT_PASSWORD_FILE"
        ) from error
