"""How clients reach a deployment's leaders, and who else may talk to its pods."""

from __future__ import annotations

from typing import Any

from nimctl.cluster import Cluster
from nimctl.render.kubernetes.names import labels, leader_selector, selector
from nimctl.render.kubernetes.site import Site
from nimctl.render.replicas import Set


def service(cluster: Cluster, site: Site, deployment: str, members: list[Set]) -> dict[str, Any]:
    """The endpoint of a deployment: its leaders alone."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": deployment,
            "namespace": site.namespace,
            "labels": labels(cluster, deployment),
        },
        "spec": {
            "type": site.settings.service_type,
            "selector": leader_selector(cluster, deployment, members),
            "ports": [
                {"name": "http", "port": members[0].leader.api_port, "targetPort": "http", "protocol": "TCP"}
            ],
        },
    }


def policies(cluster: Cluster, site: Site, deployment: str, members: list[Set]) -> list[dict[str, Any]]:
    """Ranks hear ranks of their deployment on every port, clients only the API of leaders.

    Ray and the engines' rendezvous have no authentication, as on nodes, where the firewall does the same.
    """
    own = selector(cluster, deployment)
    allowed = cluster.stack.firewall.api_allow
    api: dict[str, Any] = {"ports": [{"port": "http", "protocol": "TCP"}]}
    if allowed:
        api["from"] = [{"ipBlock": {"cidr": network}} for network in allowed]
    ranks = {"from": [{"podSelector": {"matchLabels": own}}]}
    return [
        _policy(
            cluster, site, deployment, f"{deployment}-api", leader_selector(cluster, deployment, members), api
        ),
        _policy(cluster, site, deployment, f"{deployment}-ranks", own, ranks),
    ]


def _policy(
    cluster: Cluster, site: Site, deployment: str, name: str, pods: dict[str, str], rule: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": site.namespace, "labels": labels(cluster, deployment)},
        "spec": {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], "ingress": [rule]},
    }
