"""The files that ``nimctl lint`` is given: single ones, folders of them, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.lint.check import Text, recognise

STDIN = "-"
MAX_BYTES = 2 * 1024 * 1024
_SUFFIXES = frozenset({".yaml", ".yml", ".sh", ".bash", ".sbatch", ".slurm", ".env"})


def read(paths: Sequence[str]) -> list[Text]:
    """What of these files has rules; in folders, files of other kinds are passed over.

    Raises:
        RejectedError: a file cannot be read, or is of no kind that has rules although it was named.
    """
    found: list[Text] = []
    for path in paths:
        if path == STDIN:
            found.append(_known("<stdin>", sys.stdin.read(MAX_BYTES)))
        elif Path(path).is_dir():
            found += [each for file in _below(Path(path)) if (each := recognise(str(file), _text(file)))]
        elif Path(path).exists():
            found.append(_known(path, _text(Path(path))))
        else:
            raise RejectedError(f"{path} does not exist; give a file, a folder, or - for standard input")
    return found


def _known(file: str, text: str) -> Text:
    known = recognise(file, text)
    if known is None:
        raise RejectedError(
            f"{file} is none of what nimctl lint knows: Kubernetes manifests, scripts with `docker run`, "
            "compose files, job scripts with #SBATCH, files of NAME=value"
        )
    return known


def _below(folder: Path) -> Iterator[Path]:
    """Files below a folder that may have rules, in order; hidden folders are left out."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if not entry.name.startswith("."):
                yield from _below(entry)
        elif entry.is_file() and (entry.suffix in _SUFFIXES or entry.name == ".env"):
            yield entry


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise RejectedError(
                f"{file} has more than {MAX_BYTES // 1024 // 1024} MiB; give single manifests"
            )
        with file.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except UnicodeDecodeError as error:
        raise RejectedError(f"{file} is not UTF-8 text") from error
    except OSError as error:
        raise RejectedError(f"{file} cannot be read: {error.strerror}") from error
