"""A registry image that already holds the rehearsal image, so that a lab starts without pushing anything."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

from nimctl.errors import NimctlError
from nimctl.lab.images import REGISTRY_CHANGES, Recipe, Workshop
from nimctl.lab.names import LABEL

REPOSITORY, TAG = "rehearsal", "1"
_PORT = 5000


def seeded_registry(workshop: Workshop, registry: str, image: str) -> str:
    """The reference of a registry image that holds the rehearsal image.

    Args:
        workshop: Where images are made.
        registry: The empty registry's image.
        image: The rehearsal image.

    Raises:
        NimctlError: it cannot be made.
    """
    recipe = Recipe("registry-filled", registry, "", (("IMAGE", image),), {}, REGISTRY_CHANGES)
    if workshop.engine.has_image(recipe.reference):
        return recipe.reference
    with workshop.alone(recipe.name):
        if not workshop.engine.has_image(recipe.reference):
            _fill(workshop, registry, image, recipe)
    return recipe.reference


def _fill(workshop: Workshop, registry: str, image: str, recipe: Recipe) -> None:
    """Push the image to a registry that only this machine reaches, and keep that registry as an image."""
    engine = workshop.engine
    workshop.say("putting the rehearsal image into the registry's image")
    container = f"nimctl-{workshop.lab}-build-{recipe.name}"
    engine.remove_container(container)
    try:
        engine.create(
            container, registry, [f"--label={LABEL}={workshop.lab}", f"--publish=127.0.0.1::{_PORT}"], {}
        )
        engine("start", container)
        address = engine("port", container, f"{_PORT}/tcp").stdout.split()[0]
        _wait(f"http://{address}/v2/")
        target = f"{address}/{REPOSITORY}:{TAG}"
        if engine.kind == "podman":
            engine("push", "--quiet", "--tls-verify=false", image, target)
        else:
            engine("tag", image, target)
            engine("push", "--quiet", target)
            engine("rmi", target)
        engine("stop", "--time", "2", container)
        workshop.commit(container, recipe)
    finally:
        engine.remove_container(container)


def _wait(url: str) -> None:
    """Wait until the registry answers.

    Raises:
        NimctlError: it did not within 15 s.
    """
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 (the address is our own, on loopback)
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise NimctlError(f"The lab's registry does not answer at {url}: {error}") from error
            time.sleep(0.1)
