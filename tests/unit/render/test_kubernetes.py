"""What settings and placements make of the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from renderings import INVENTORIES, as_read, description, place, render

from nimctl.errors import RejectedError
from nimctl.render.kubernetes.notes import notes


def objects(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Objects by KIND/NAME."""
    found = [each for text in texts.values() for each in yaml.safe_load_all(text)]
    return {f"{each['kind']}/{each.get('metadata', {}).get('name')}": each for each in found}


def of(
    tmp_path: Path, contract: str, settings: str = "", target: str = "k8s", edit: str = ""
) -> dict[str, Any]:
    text = description(contract, f"kubernetes: {settings}\n" if settings else "")
    if edit:
        old, _, new = edit.partition(" -> ")
        assert old in text
        text = text.replace(old, new)
    return objects(render(place(tmp_path, text, target), target))


def pods(found: dict[str, Any], name: str = "r1") -> list[dict[str, Any]]:
    """Leader and worker of a set."""
    group = found[f"LeaderWorkerSet/{name}"]["spec"]["leaderWorkerTemplate"]
    return [group["leaderTemplate"], group["workerTemplate"]]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["spec"]["containers"]
    return dict(found)


def test_infiniband_asks_for_the_shared_device(tmp_path: Path) -> None:
    found = of(tmp_path, "nim1-env")
    for pod in pods(found):
        limits = container(pod)["resources"]["limits"]
        assert limits == {"nvidia.com/gpu": "8", "rdma/rdma_shared_device_a": "1"}
        assert container(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
        assert "hostNetwork" not in pod["spec"]
        assert pod["spec"]["tolerations"]
    assert {"NetworkPolicy/r1-api", "NetworkPolicy/r1-ranks"} <= set(found)


def test_roce_is_on_the_network_of_its_node(tmp_path: Path) -> None:
    found = of(tmp_path, "sglang")
    for pod in pods(found):
        assert pod["spec"]["hostNetwork"] is True
        assert pod["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
    # A policy would be no more than a promise there.
    assert not [name for name in found if name.startswith("NetworkPolicy")]
    remarks = notes(place(tmp_path, description("sglang"), "k8s"))
    assert any("no NetworkPolicy" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("settings", "limits", "networks"),
    [
        ("{rdma: {mode: none}}", {}, None),
        ("{rdma: {mode: sriov, count: 4, network: rail}}", {"nvidia.com/mlnxnics": "4"}, "rail"),
        (
            "{rdma: {mode: shared-device, resource: rdma/hca_ib, network: net/ib}}",
            {"rdma/hca_ib": "1"},
            "net/ib",
        ),
    ],
)
def test_rdma_as_it_is_said(
    tmp_path: Path, settings: str, limits: dict[str, str], networks: str | None
) -> None:
    found = of(tmp_path, "nim1-env", settings)
    for pod in pods(found):
        assert container(pod)["resources"]["limits"] == {"nvidia.com/gpu": "8", **limits}
        assert pod["metadata"].get("annotations", {}).get("k8s.v1.cni.cncf.io/networks") == networks
    (config,) = (each for name, each in found.items() if name.startswith("ConfigMap/"))
    # Virtual functions have names of their own, and without RDMA there is nothing to name.
    assert ("NCCL_IB_HCA" in config["data"]) == (limits.get("rdma/hca_ib") is not None)


def test_engines_run_as_the_user_of_their_image(tmp_path: Path) -> None:
    for pod in pods(of(tmp_path, "nim1-env")):
        context = pod["spec"]["securityContext"]
        assert (context["runAsUser"], context["fsGroup"], context["runAsNonRoot"]) == (1000, 1000, True)
    for pod in pods(of(tmp_path, "vllm")):
        assert "runAsUser" not in pod["spec"]["securityContext"]
        assert container(pod)["securityContext"]["allowPrivilegeEscalation"] is False


def test_only_the_leader_has_probes_and_they_wait_as_long_as_the_contract(tmp_path: Path) -> None:
    leader, worker = pods(of(tmp_path, "nim1-env"))
    startup = container(leader)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 45 * 60
    assert container(leader)["readinessProbe"]["httpGet"]["path"] == "/v1/health/ready"
    assert container(leader)["livenessProbe"]["httpGet"]["path"] == "/v1/health/live"
    assert not {"startupProbe", "readinessProbe", "livenessProbe", "ports"} & set(container(worker))


def test_the_service_finds_leaders_alone(tmp_path: Path) -> None:
    found = of(tmp_path, "nim1-env")
    selector = found["Service/r1"]["spec"]["selector"]
    assert selector["leaderworkerset.sigs.k8s.io/worker-index"] == "0"
    assert selector["leaderworkerset.sigs.k8s.io/name"] == "r1"


def test_a_download_gets_a_shared_claim_and_its_key_by_reference(tmp_path: Path) -> None:
    found = of(tmp_path, "nim2-ray", "{cache: {size: 900Gi, storage_class: fast}}")
    claim = found["PersistentVolumeClaim/r1-cache"]["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "900Gi")
    for pod in pods(found):
        keys = [each for each in container(pod)["env"] if each["name"] == "NGC_API_KEY"]
        reference = {"secretKeyRef": {"name": "ngc-api-key", "key": "NGC_API_KEY"}}
        assert keys == [{"name": "NGC_API_KEY", "valueFrom": reference}]
        assert pod["spec"]["imagePullSecrets"] == [{"name": "nvcr-io-pull"}]


def test_weights_come_from_the_storage_of_the_cluster(tmp_path: Path) -> None:
    found = of(tmp_path, "nim1-env")
    volume = found["PersistentVolume/five-models"]["spec"]
    assert volume["csi"]["driver"] == "nfs.csi.k8s.io"
    assert volume["csi"]["volumeAttributes"] == {"server": "10.0.0.9", "share": "/srv/models"}
    assert volume["accessModes"] == ["ReadOnlyMany"]
    for pod in pods(found):
        mounts = {each["mountPath"]: each for each in container(pod)["volumeMounts"]}
        assert (mounts["/models/r1"]["subPath"], mounts["/models/r1"]["readOnly"]) == ("r1", True)
        assert "/opt/nim/.cache" in mounts
    found = of(tmp_path, "nim1-env", "{volumes: {/models: {claim: theirs}}}")
    assert not [name for name in found if name.startswith("PersistentVolume")]
    assert "theirs" in str(pods(found)[1]["spec"]["volumes"])


def test_a_storage_of_the_nodes_is_told(tmp_path: Path) -> None:
    text = description("nim1-env").replace(
        "{kind: nfs, server: 10.0.0.9, export: /srv/models, mount: /models}",
        "{kind: existing, mount: /models}",
    )
    placement = place(tmp_path, text, "k8s")
    for pod in pods(objects(render(placement, "k8s"))):
        assert {"path": "/models/r1", "type": "Directory"} in [
            each.get("hostPath") for each in pod["spec"]["volumes"]
        ]
    assert any("hostPath" in remark for remark in notes(placement))


def test_topology_is_exclusive_where_it_is_said_and_a_wish_elsewhere(tmp_path: Path) -> None:
    found = of(tmp_path, "nim1-env", "{topology: example.com/rack}")
    annotations = found["LeaderWorkerSet/r1"]["metadata"]["annotations"]
    assert annotations == {"leaderworkerset.sigs.k8s.io/exclusive-topology": "example.com/rack"}
    assert "affinity" not in pods(found)[0]["spec"]
    found = of(tmp_path, "nim1-env")
    assert "annotations" not in found["LeaderWorkerSet/r1"]["metadata"]
    assert "preferredDuringSchedulingIgnoredDuringExecution" in str(pods(found)[0]["spec"]["affinity"])


@pytest.mark.parametrize(("replicas", "nodes", "available"), [(1, 2, 2), (2, 2, 3)])
def test_budgets(tmp_path: Path, replicas: int, nodes: int, available: int) -> None:
    text = description("vllm", nodes=replicas * nodes).replace(
        "engine: vllm", f"replicas: {replicas}, parallel: {{tensor: 8, pipeline: {nodes}}}, engine: vllm"
    )
    found = objects(render(place(tmp_path, text, "k8s"), "k8s"))
    assert found["LeaderWorkerSet/r1"]["spec"]["replicas"] == replicas
    assert found["PodDisruptionBudget/r1"]["spec"]["minAvailable"] == available


def test_one_node_is_a_set_of_one() -> None:
    found = objects(render(as_read(INVENTORIES / "single-node-fp8", "k8s"), "k8s"))
    group = found["LeaderWorkerSet/llama-405b"]["spec"]["leaderWorkerTemplate"]
    assert group["size"] == 1
    assert "leaderTemplate" not in group
    assert container(group["workerTemplate"])["readinessProbe"]


def test_a_change_of_constants_is_a_rollout(tmp_path: Path) -> None:
    def name(found: dict[str, Any]) -> str:
        (config,) = (each for name, each in found.items() if name.startswith("ConfigMap/"))
        assert config["immutable"] is True
        return str(config["metadata"]["name"])

    before = name(of(tmp_path, "nim1-env"))
    after = name(of(tmp_path, "nim1-env", edit="name: r1, model -> served_name: x, name: r1, model"))
    assert before != after


def test_clients_are_those_that_the_firewall_lets_in(tmp_path: Path) -> None:
    found = of(
        tmp_path, "nim1-env", edit="storage: -> stack: {firewall: {api_allow: [10.7.0.0/16]}}\nstorage:"
    )
    (rule,) = found["NetworkPolicy/r1-api"]["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.7.0.0/16"}}]
    (rule,) = found["NetworkPolicy/r1-ranks"]["spec"]["ingress"]
    assert list(rule) == ["from"]


UNLIKE = """\
plugin: nimctl.multinode.cluster
name: five
nodes:
  - hosts: "a[1-2]"
    addresses: "10.0.0.[1-2]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: roce, rate: 400g, interface: x0}
  - hosts: c
    addresses: 10.0.0.3
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: roce, rate: 400g, interface: y0}
deployments:
  - {name: r1, model: m/m, engine: sglang, image: "lmsysorg/sglang:v0.5.2", hosts: "a[1-2],c",
     weights: {path: /models/m}}
"""


@pytest.mark.parametrize(("target", "told"), [("k8s", "GLOO_SOCKET_IFNAME"), ("slurm", "GLOO_SOCKET_IFNAME")])
def test_workers_that_differ_are_refused_with_what_differs(tmp_path: Path, target: str, told: str) -> None:
    text = UNLIKE
    with pytest.raises(RejectedError, match=told):
        render(place(tmp_path, text, target), target)
    # On the pod network nobody sees the names of the nodes' interfaces.
    if target == "k8s":
        assert render(place(tmp_path, text + "kubernetes: {rdma: {mode: shared-device}}\n", target), target)


@pytest.mark.parametrize(
    ("contract", "edit", "told"),
    [
        ("vllm", "", "--flavor lws"),
        ("nim-variant", "", "--flavor lws"),
        (
            "nim1-env",
            "hosts: 'gpu -> parallel: {tensor: 40, pipeline: 1, across_nodes: true}, hosts: 'gpu",
            "tensor",
        ),
    ],
)
def test_the_operator_is_not_given_what_it_cannot_do(
    tmp_path: Path, contract: str, edit: str, told: str
) -> None:
    with pytest.raises(RejectedError, match=told):
        of(tmp_path, contract, target="nimservice", edit=edit)


def test_the_operator_gets_the_mpi_contract_that_nothing_else_runs(tmp_path: Path) -> None:
    edit = "contract: nim1-env -> contract: nim1-mpi"
    with pytest.raises(RejectedError, match="Kubernetes only"):
        of(tmp_path, "nim1-env", edit=edit)
    found = of(tmp_path, "nim1-env", target="nimservice", edit=edit)
    assert found["NIMService/r1"]["spec"]["multiNode"]["mpi"]["mpiStartTimeout"] >= 300


def test_a_service_of_the_operator_reads_weights_below_its_own_mount(tmp_path: Path) -> None:
    found = of(tmp_path, "nim1-env", target="nimservice")
    spec = found["NIMService/r1"]["spec"]
    environment = {each["name"]: each["value"] for each in spec["env"]}
    assert environment["NIM_MODEL_NAME"] == "/model-store/r1"
    assert spec["storage"]["pvc"] == {"name": "models", "create": False}
    assert found["PersistentVolumeClaim/models"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert spec["multiNode"]["parallelism"] == {"pipeline": 5, "tensor": 8}
    assert not {"NIM_NODE_RANK", "NIM_LEADER_ROLE", "NIM_MULTI_NODE", "NIM_CACHE_PATH"} & set(environment)
    assert spec["image"]["repository"].endswith("deepseek-r1@sha256")
