"""The rehearsal image, made by its own recipe."""

from __future__ import annotations

from nimctl.lab.images import Workshop


def rehearsal_image(workshop: Workshop) -> str:
    """Make the rehearsal image where it is missing; its reference."""
    return workshop.debian()
