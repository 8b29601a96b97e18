"""What a container engine consists of on a node: packages, files, and keys of daemon.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCKER_HUB = "docker.io"


class EngineError(ValueError):
    """The settings ask for what the engine cannot do."""


def configuration_files(
    engine: str, registries: Sequence[Mapping[str, Any]], proxy: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Entries for ``managed_files``: drop-ins of the engine, by path."""
    files: list[dict[str, Any]] = []
    has_proxy = bool(proxy.get("http") or proxy.get("https"))
    if engine == "podman":
        if any(registry.get("mirrors") or registry.get("insecure") for registry in registries):
            files.append(
                {"path": "/etc/containers/registries.conf.d/50-nimctl.conf", "template": "registries.conf.j2"}
            )
        files.append(
            {"path": "/etc/containers/containers.conf.d/50-nimctl.conf", "template": "containers.conf.j2"}
        )
    elif has_proxy:
        files.append(
            {
                "path": "/etc/systemd/system/docker.service.d/50-nimctl-proxy.conf",
                "template": "docker-proxy.conf.j2",
            }
        )
    folder = "/etc/containers/certs.d" if engine == "podman" else "/etc/docker/certs.d"
    for registry in registries:
        if registry.get("ca"):
            for host in [registry["host"], *registry.get("mirrors", [])]:
                files.append({"path": f"{folder}/{host}/nimctl.crt", "source": registry["ca"]})
    return sorted(files, key=lambda file: str(file["path"]))


def daemon_values(
    engine: str, registries: Sequence[Mapping[str, Any]], daemon: Mapping[str, Any], cdi: bool
) -> dict[str, Any]:
    """Keys of daemon.json that have to be as they are here; none for podman."""
    if engine != "docker":
        return {}
    values: dict[str, Any] = {}
    mirrors: list[str] = []
    insecure: list[str] = []
    for registry in registries:
        if registry.get("mirrors"):
            if registry["host"] != DOCKER_HUB:
                raise EngineError(
                    f"docker has mirrors for {DOCKER_HUB} only, and the description gives "
                    f"{registry['host']} mirrors. "
                    f"Use podman, or name the mirror in the images of the deployments."
                )
            scheme = "http" if registry.get("insecure") else "https"
            mirrors += [f"{scheme}://{mirror}" for mirror in registry["mirrors"]]
        if registry.get("insecure"):
            insecure += registry["mirrors"] if registry["host"] == DOCKER_HUB else [registry["host"]]
    if mirrors:
        values["registry-mirrors"] = mirrors
    if insecure:
        values["insecure-registries"] = insecure
    if cdi:
        # The default from docker 28.2 on; before that it has to be asked for.
        values["features"] = {"cdi": True}
    return _overlaid(values, daemon)


def daemon_defaults(engine: str, log_max_size: str, log_max_files: int) -> list[dict[str, Any]]:
    """Keys of daemon.json that are set where nobody else has set them."""
    if engine != "docker":
        return []
    return [
        {"live-restore": True},
        # Together: these options are wrong for another driver, and then the daemon would not start.
        {"log-driver": "json-file", "log-opts": {"max-size": log_max_size, "max-file": str(log_max_files)}},
    ]


def repository_files(source: str, family: str, repository: Mapping[str, str]) -> list[dict[str, Any]]:
    """Entries for ``managed_files``: docker's own package repository, or nothing."""
    if source != "docker":
        return []
    if family == "RedHat":
        return [
            {
                "path": "/etc/pki/rpm-gpg/RPM-GPG-KEY-nimctl-docker",
                "url": repository["key_url"],
                "fingerprint": repository["key_fingerprint"],
            },
            {"path": "/etc/yum.repos.d/nimctl-docker.repo", "template": "docker.repo.j2"},
        ]
    return [
        {
            "path": "/etc/apt/keyrings/nimctl-docker.asc",
            "url": repository["key_url"],
            "fingerprint": repository["key_fingerprint"],
        },
        {"path": "/etc/apt/sources.list.d/nimctl-docker.sources", "template": "docker.sources.j2"},
    ]


def package_names(
    engine: str,
    source: str,
    distribution: str,
    table: Mapping[str, Mapping[str, list[str]]],
    from_docker: list[str],
) -> list[str]:
    """The packages of an engine on a distribution such as ``Debian-13``; the first one brings the engine."""
    if distribution not in table:
        raise EngineError(f"{distribution} is not supported. Supported are {', '.join(sorted(table))}.")
    if engine == "docker" and source == "docker":
        return list(from_docker)
    names = table[distribution].get(engine)
    if not names:
        raise EngineError(
            f"{distribution} has no package of {engine}. Set stack.container_engine.source to docker "
            "for the packages of "
            f"docker's own repository, or stack.container_engine.engine to podman."
        )
    return list(names)


def size_in_bytes(text: str) -> int:
    """A size as docker writes it (``100m``) in bytes."""
    units = {"k": 1024, "m": 1024**2, "g": 1024**3}
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or (unit and unit not in units):
        raise EngineError(f"log_max_size is {text!r}, expected a number with k, m or g, such as 100m.")
    return int(number) * units.get(unit, 1)


def _overlaid(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _overlaid(dict(result[key]), value)
        elif isinstance(value, list) and isinstance(result.get(key), list):
            result[key] = [*result[key], *(item for item in value if item not in result[key])]
        else:
            result[key] = value
    return result
