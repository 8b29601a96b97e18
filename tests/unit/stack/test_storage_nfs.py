"""What a node serves and mounts by NFS."""

import pytest

from nimctl.description.document import Storage
from nimctl.stack.host import Host, Mount, System
from nimctl.stack.layers import storage_nfs
from nimctl.stack.plan import Question, RefusedError

NODES = {"a": ["10.0.0.1", "10.1.0.1"], "b": ["10.0.0.2"], "store": ["10.0.0.9", "10.1.0.9"]}
ENTRY = {"kind": "nfs", "server": "store", "export": "/srv/models", "mount": "/models"}


def host(**fields):
    ready = {"system": System(distribution="debian", version="13"), "package_manager": "apt"}
    return Host(**{**ready, **fields})


def plan(node="a", on=None, **fields):
    settings = (Storage(**{**ENTRY, **fields}),)
    context = {"cluster": "prod", "node": node, "addresses": NODES}
    return storage_nfs.plan(Question(on or host(), settings, context=context))


def units(planned):
    return {unit["name"]: unit for unit in planned.values["units"]}


def files(planned):
    return {file["path"]: file["content"] for file in planned.values["files"]}


def options(**fields):
    text = units(plan(**fields))["models.mount"]["definition"]
    return text.partition("\nOptions=")[2].partition("\n")[0].split(",")


def test_a_client_mounts_at_first_use_over_the_fabric_of_the_server():
    found = units(plan())
    assert "What=10.1.0.9:/srv/models\n" in found["models.mount"]["definition"]
    assert (found["models.mount"]["state"], found["models.automount"]["state"]) == ("kept", "started")
    assert {"hard", "nconnect=8", "_netdev", "vers=4.2"} <= set(options())


def test_without_automount_the_mount_itself_is_started():
    found = units(plan(automount=False))
    assert list(found) == ["models.mount"]
    assert found["models.mount"]["state"] == "started"


def test_options_of_the_description_replace_ours_of_the_same_name():
    found = options(options=["nfsvers=3", "soft", "ro"])
    assert "vers=4.2" not in found
    assert "hard" not in found
    assert found[-3:] == ["nfsvers=3", "soft", "ro"]


def test_rdma_has_its_port_and_no_nconnect():
    found = options(rdma=True)
    assert {"proto=rdma", "port=20049"} <= set(found)
    assert not [option for option in found if option.startswith("nconnect")]
    assert "modprobe@rpcrdma.service" in units(plan(rdma=True))["models.mount"]["definition"]
    with pytest.raises(RefusedError, match="nconnect"):
        plan(rdma=True, nconnect=4)


def test_an_address_of_ipv6_stands_in_brackets():
    text = units(plan(server="fd00::9"))["models.mount"]["definition"]
    assert "What=[fd00::9]:/srv/models\n" in text


def test_exactly_the_other_nodes_are_let_in():
    text = files(plan("store"))["/etc/exports.d/nimctl-prod.exports"]
    assert [line.strip(" \\") for line in text.splitlines()[2:]] == ["10.0.0.1", "10.1.0.1", "10.0.0.2"]
    assert "no_root_squash" not in text


def test_the_identity_of_an_export_does_not_change():
    first, second = (files(plan("store", nconnect=n)) for n in (1, 2))
    path = "/etc/exports.d/nimctl-prod.exports"
    assert first[path] == second[path]
    assert "fsid=" in first[path]


def test_a_server_has_threads_for_its_clients_and_rdma_when_asked():
    assert "threads=16\n" in files(plan("store"))[storage_nfs.CONFIGURATION]
    assert "rdma-port=20049" in files(plan("store", rdma=True))[storage_nfs.CONFIGURATION]
    assert "rpcrdma" in units(plan("store", rdma=True))["nfs-server.service"]["drop_in"]


def test_a_server_has_its_folder_at_the_mount_point_too():
    found = units(plan("store"))
    assert "Options=bind\n" in found["models.mount"]["definition"]
    assert "models.mount" not in units(plan("store", export="/models"))


def test_read_ahead_is_set_by_what_the_distribution_has():
    assert "nfs4=15380" in files(plan())[storage_nfs.CONFIGURATION]
    jammy = host(system=System(distribution="ubuntu", version="22.04"))
    assert list(files(plan(on=jammy))) == [storage_nfs.READ_AHEAD_RULE]


def test_a_server_outside_has_to_be_reachable_unless_it_is_mounted():
    planned = plan(server="10.9.0.1", rdma=True)
    assert planned.values["reach"] == [{"host": "10.9.0.1", "port": 20049, "what": "storage /models"}]
    assert plan().values["reach"] == []
    there = Mount(source="10.9.0.1:/srv/models", target="/models", type="nfs4")
    assert plan(server="10.9.0.1", on=host(mounts=(there,))).values["reach"] == []


def test_what_somebody_else_mounted_there_is_refused():
    other = Mount(source="other:/x", target="/models", type="nfs4")
    with pytest.raises(RefusedError, match="found other:/x"):
        plan(on=host(mounts=(other,)))


def test_only_checked_it_has_to_be_mounted():
    planned = plan(mode="verify")
    assert planned.values["steps"] == "verify"
    assert planned.will == ("have /models mounted by NFS",)
    there = Mount(source="10.1.0.9:/srv/models", target="/models", type="nfs4")
    assert plan(mode="verify", on=host(mounts=(there,))).will == ()


def test_a_container_gets_units_that_are_not_started():
    planned = plan("store", on=host(system=System(distribution="debian", container="podman")))
    assert units(planned)["nfs-server.service"]["state"] == "kept"
    assert planned.notes
