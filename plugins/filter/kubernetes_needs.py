"""What objects of Kubernetes need to be there before them, and what to wait for after them."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: kubernetes_needs
short_description: What rendered objects need, and what to wait for
description:
  - Reads objects of Kubernetes as C(nimctl render k8s) writes them.
version_added: 0.1.0
options:
  _input:
    description: The objects, as a list of mappings.
    type: list
    elements: dict
    required: true
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.set_fact:
    needs: "{{ kustomized.stdout | from_yaml_all | list | nimctl.multinode.kubernetes_needs }}"
"""

RETURN = r"""
_value:
  description: >-
    C(namespaces), C(definitions) (of custom resources), C(secrets) (C(namespace), C(name)) and C(waits)
    (C(namespace), C(resource), C(condition), C(seconds)).
  type: dict
"""

DEFINITIONS = {
    "LeaderWorkerSet": "leaderworkersets.leaderworkerset.x-k8s.io",
    "NIMService": "nimservices.apps.nvidia.com",
}
CONDITIONS = {"LeaderWorkerSet": "Available", "NIMService": "Ready"}
MARGIN = 600
"""Seconds for scheduling and pulling, besides the time that an engine may take to load."""


def kubernetes_needs(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Namespaces, definitions and secrets that have to be there, and conditions to wait for, in order."""
    try:
        found = [each for each in objects if each]
        mine = [each for each in found if each["kind"] in DEFINITIONS]
        return {
            "namespaces": sorted(
                {each["metadata"]["namespace"] for each in found if "namespace" in each["metadata"]}
            ),
            "definitions": sorted({DEFINITIONS[each["kind"]] for each in mine}),
            "secrets": [
                {"namespace": namespace, "name": name}
                for namespace, name in sorted(
                    {(each["metadata"]["namespace"], name) for each in mine for name in _secrets(each)}
                )
            ],
            "waits": [
                {
                    "namespace": each["metadata"]["namespace"],
                    "resource": f"{DEFINITIONS[each['kind']]}/{each['metadata']['name']}",
                    "condition": CONDITIONS[each["kind"]],
                    "seconds": _seconds(each) + MARGIN,
                }
                for each in mine
            ],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            f"these are no objects of Kubernetes: {error!r} is missing or of a wrong kind"
        ) from error


def _secrets(each: Any) -> set[str]:
    """Names of the secrets that an object refers to."""
    found: set[str] = set()
    if isinstance(each, dict):
        for key, value in each.items():
            if key == "imagePullSecrets":
                found.update(entry["name"] for entry in value)
            elif key == "pullSecrets":
                found.update(value)
            elif key == "authSecret":
                found.add(value)
            elif key == "secretKeyRef":
                found.add(value["name"])
            else:
                found |= _secrets(value)
    elif isinstance(each, list):
        for value in each:
            found |= _secrets(value)
    return found


def _seconds(each: Any) -> int:
    """How long the startup probes of an object give its engine, the longest of them."""
    longest = 0
    if isinstance(each, dict):
        for key, value in each.items():
            probe = value.get("probe", value) if key == "startupProbe" else None
            if probe:
                window = int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))
                longest = max(longest, int(probe.get("initialDelaySeconds", 0)) + window)
            else:
                longest = max(longest, _seconds(value))
    elif isinstance(each, list):
        longest = max((_seconds(value) for value in each), default=0)
    return longest


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"kubernetes_needs": kubernetes_needs}
