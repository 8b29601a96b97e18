"""Read a cluster description: YAML with positions, validated, node sets expanded."""

from __future__ import annotations

from nimctl.description.loader import Examined, examine, load, locate, located

__all__ = ["Examined", "examine", "load", "locate", "located"]
