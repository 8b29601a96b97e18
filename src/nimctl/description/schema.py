"""The JSON Schema of ``cluster.yml``, for editors and for other programs.

It is generated from the models and committed. After a change to them write it again:
``python -m nimctl.description.schema``; with ``--check`` it writes nothing and exits 1 where the file is old.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nimctl.description.document import Document

FILE = Path(__file__).parent / "cluster.schema.json"


def schema() -> dict[str, Any]:
    """The JSON Schema of a description. What fields mean together is checked by ``nimctl validate`` only."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://github.com/nimctl/nimctl/blob/main/src/nimctl/description/cluster.schema.json",
        **Document.model_json_schema(),
        "title": "nimctl cluster description",
    }


def text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    current = FILE.read_text("utf-8") if FILE.exists() else ""
    if current == text():
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{FILE.name} is out of date; run python -m nimctl.description.schema\n")
        return 1
    FILE.write_text(text(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
