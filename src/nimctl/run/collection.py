"""Where the Ansible collection is, and what plain ``ansible-playbook`` needs to use it.

In a clone the repository root is the collection, linked below ``collections/``; an installed wheel
carries it in ``site-packages/ansible_collections``, where Ansible finds it by itself.
"""

from __future__ import annotations

import configparser
import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nimctl
from nimctl.errors import RejectedError

NAMESPACE = Path("ansible_collections", "nimctl", "multinode")
FORKS_PER_CORE = 16
MEMORY_PER_FORK = 96 * 1024 * 1024
"""Bytes that one forked worker of ansible-core may need, generously."""
MOST_FORKS = 256


@dataclass(frozen=True, slots=True)
class Collection:
    """The collection on this controller.

    ``root`` holds site.yml, playbooks/ and roles/; ``search_path`` is the folder that holds
    ``ansible_collections``, or None where Ansible finds the collection without being told.
    """

    root: Path
    search_path: Path | None

    def playbook(self, name: str) -> Path:
        """The path of ``site`` or of a playbook below playbooks/."""
        return self.root / "site.yml" if name == "site" else self.root / "playbooks" / f"{name}.yml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One Ansible setting: its variable, and every (section, key) of ansible.cfg that says the same."""

    variable: str
    value: str
    keys: tuple[tuple[str, str], ...]


def find(package: Path | None = None) -> Collection:
    """Find the collection that belongs to this installation of nimctl.

    Raises:
        RejectedError: the package was installed without it.
    """
    package = package or Path(nimctl.__file__).parent
    clone = package.parent.parent
    if (clone / "galaxy.yml").is_file() and (clone / "collections" / NAMESPACE / "galaxy.yml").exists():
        return Collection(clone, clone / "collections")
    installed = package.parent / NAMESPACE
    if (installed / "site.yml").is_file():
        return Collection(installed, None)
    raise RejectedError(
        f"The Ansible collection nimctl.multinode is neither in a clone around {package} nor beside it in "
        f"{installed}; install nimctl again: pip install --force-reinstall nimctl"
    )


def scripts_folder() -> Path:
    """The folder of the virtual environment that nimctl runs from, where Ansible's commands lie too."""
    beside = Path(sys.executable).parent
    return beside if (beside / "ansible-playbook").is_file() else Path(sysconfig.get_path("scripts"))


def executable(name: str) -> Path:
    """Find one of Ansible's commands, first in nimctl's own environment.

    Raises:
        RejectedError: it is not installed.
    """
    own = scripts_folder() / name
    if own.is_file():
        return own
    found = shutil.which(name)
    if found:
        return Path(found)
    raise RejectedError(
        f"{name} is neither in {own.parent} nor on PATH; install it into the environment of nimctl: "
        f"{sys.executable} -m pip install ansible-core"
    )


def forks(cores: int | None = None, memory: int | None = None) -> int:
    """How many nodes Ansible works on at a time: what this controller's cores and memory carry."""
    cores = cores or len(os.sched_getaffinity(0))
    memory = memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(5, min(cores * FORKS_PER_CORE, memory // MEMORY_PER_FORK, MOST_FORKS))


def settings() -> tuple[Setting, ...]:
    """Every setting that a run relies on; the ansible.cfg of a clone says the same."""
    return (
        Setting(
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True", (("inventory", "any_unparsed_is_failed"),)
        ),
        Setting("ANSIBLE_INJECT_FACT_VARS", "False", (("defaults", "inject_facts_as_vars"),)),
        Setting("ANSIBLE_GATHERING", "explicit", (("defaults", "gathering"),)),
        Setting("ANSIBLE_FORKS", str(forks()), (("defaults", "forks"),)),
        Setting("ANSIBLE_HOST_KEY_CHECKING", "True", (("defaults", "host_key_checking"),)),
        Setting("ANSIBLE_PYTHON_INTERPRETER", "auto_silent", (("defaults", "interpreter_python"),)),
        Setting("ANSIBLE_CALLBACK_RESULT_FORMAT", "yaml", (("defaults", "callback_result_format"),)),
        Setting("ANSIBLE_RETRY_FILES_ENABLED", "False", (("defaults", "retry_files_enabled"),)),
        Setting(
            "ANSIBLE_PIPELINING",
            "True",
            (("ssh_connection", "pipelining"), ("connection", "pipelining"), ("defaults", "pipelining")),
        ),
        Setting(
            "ANSIBLE_SSH_ARGS",
            "-o ControlMaster=auto -o ControlPersist=300s -o ServerAliveInterval=15 -o ServerAliveCountMax=4",
            (("ssh_connection", "ssh_args"),),
        ),
    )


def configuration(environment: Mapping[str, str], folder: Path) -> Path | None:
    """The ansible.cfg that Ansible itself would read when it starts in ``folder``."""
    named = environment.get("ANSIBLE_CONFIG")
    if named:
        path = Path(named).expanduser()
        path = path / "ansible.cfg" if path.is_dir() else path
        if path.is_file():
            return path
    here = folder / "ansible.cfg"
    if here.is_file() and not folder.stat().st_mode & stat.S_IWOTH:
        return here
    home = Path(environment.get("HOME") or Path.home()) / ".ansible.cfg"
    system = Path("/etc/ansible/ansible.cfg")
    return next((path for path in (home, system) if path.is_file()), None)


def environment(
    collection: Collection, base: Mapping[str, str] | None = None, folder: Path | None = None
) -> dict[str, str]:
    """What has to be added to ``base`` so that ``ansible-playbook`` finds and runs the collection.

    What the user has set, as a variable or in the ansible.cfg that Ansible reads in ``folder``, is left
    alone; only the collection's folder is put before his own. The ansible.cfg of a clone is taken along, so
    that it is obeyed in every folder.
    """
    base = os.environ if base is None else base
    folder = folder or Path.cwd()
    said, config = _said(configuration(base, folder))
    own = config is not None and config.resolve() == (collection.root / "ansible.cfg").resolve()
    added = {}
    for setting in settings():
        written = [said[key] for key in setting.keys if key in said]
        if setting.variable not in base and (own or not written):
            added[setting.variable] = written[0] if written else setting.value
    if collection.search_path:
        added |= _collections_path(collection.search_path, base, said, config)
    if shutil.which("ansible-playbook", path=base.get("PATH")) != str(scripts_folder() / "ansible-playbook"):
        added["PATH"] = os.pathsep.join(
            part for part in (str(scripts_folder()), base.get("PATH", "")) if part
        )
    return dict(sorted(added.items()))


def _collections_path(
    ours: Path, base: Mapping[str, str], said: Mapping[tuple[str, str], str], config: Path | None
) -> dict[str, str]:
    theirs: list[str] = []
    if "ANSIBLE_COLLECTIONS_PATH" in base:
        theirs = [part for part in base["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep) if part]
    elif config is not None:
        # Ansible reads relative paths of ansible.cfg from the folder of that file.
        written = said.get(("defaults", "collections_path")) or ""
        theirs = [str((config.parent / part).expanduser()) for part in written.split(os.pathsep) if part]
    if "ANSIBLE_COLLECTIONS_PATH" in base and _contains(theirs, ours):
        return {}
    theirs = [part for part in theirs if not _contains([part], ours)]
    if not theirs:
        theirs = [str(Path("~/.ansible/collections").expanduser()), "/usr/share/ansible/collections"]
    return {"ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(ours), *theirs])}


def _contains(folders: Iterable[str], wanted: Path) -> bool:
    return any(Path(folder).expanduser().resolve() == wanted.resolve() for folder in folders)


def _said(config: Path | None) -> tuple[dict[tuple[str, str], str], Path | None]:
    if config is None:
        return {}, None
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None, strict=False)
    try:
        parser.read(config, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise RejectedError(f"{config} cannot be read as Ansible's configuration: {error}") from error
    return {
        (section, key): value for section in parser.sections() for key, value in parser.items(section)
    }, config
