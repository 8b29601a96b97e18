import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nimctl.multinode.plugins.filter.container_engine_plan import container_engine_plan
from ansible_collections.nimctl.multinode.plugins.plugin_utils.engine_plan import EngineError, size_in_bytes

SETTINGS = {
    "name": "docker",
    "source": "distribution",
    "registries": [],
    "proxy": {},
    "daemon": {},
    "log_max_size": "100m",
    "log_max_files": 5,
    "cdi": False,
    "family": "Debian",
    "distribution": "Debian-13",
    "packages": {
        "Debian-13": {"docker": ["docker.io", "docker-cli"], "podman": ["podman"]},
        "RedHat-9": {"podman": ["podman"]},
    },
    "packages_from_docker": ["docker-ce"],
    "minimum": {
        "docker": {
            "any": {"version": "20.10", "reason": ""},
            "cdi": {"version": "25.0", "reason": "GPUs by CDI"},
        },
        "podman": {
            "any": {"version": "4.0", "reason": "logs"},
            "cdi": {"version": "4.1", "reason": "GPUs by CDI"},
        },
    },
    "key_url": "https://example.org/gpg",
    "key_fingerprint": "AB",
}
REGISTRY = {"host": "reg:5000", "mirrors": [], "ca": "/ca.pem", "insecure": False}


def plan(**settings):
    return container_engine_plan({**SETTINGS, **settings})


def paths(files):
    return [file["path"] for file in files]


def test_docker_of_the_distribution():
    found = plan()
    assert found["packages"] == ["docker.io", "docker-cli"]
    assert found["repository_files"] == []
    assert found["files"] == []
    assert found["unit"] == "docker.service"
    assert found["daemon_values"] == {}
    assert found["daemon_defaults"][0] == {"live-restore": True}
    assert found["daemon_defaults"][1]["log-opts"] == {"max-size": "100m", "max-file": "5"}


def test_dockers_own_repository():
    found = plan(source="docker")
    assert found["packages"] == ["docker-ce"]
    assert paths(found["repository_files"]) == [
        "/etc/apt/keyrings/nimctl-docker.asc",
        "/etc/apt/sources.list.d/nimctl-docker.sources",
    ]
    assert found["repository_files"][0]["fingerprint"] == "AB"
    assert paths(plan(source="docker", family="RedHat", distribution="RedHat-9")["repository_files"])[
        1
    ].endswith(".repo")


def test_podman_has_no_daemon_to_configure():
    found = plan(name="podman", source="docker", cdi=True, daemon={"debug": True})
    assert found["unit"] == ""
    assert found["daemon_values"] == {}
    assert found["daemon_defaults"] == []
    assert found["repository_files"] == []
    assert found["packages"] == ["podman"]
    assert found["minimum_version"] == "4.1"


def test_gpus_need_cdi():
    found = plan(cdi=True, daemon={"features": {"x": True}})
    assert found["daemon_values"] == {"features": {"cdi": True, "x": True}}
    assert (found["minimum_version"], found["reason"]) == ("25.0", "GPUs by CDI")


def test_certificates_lie_where_each_engine_looks():
    mirrored = {**REGISTRY, "host": "docker.io", "mirrors": ["m:1"]}
    assert paths(plan(registries=[REGISTRY])["files"]) == ["/etc/docker/certs.d/reg:5000/nimctl.crt"]
    assert paths(plan(registries=[mirrored])["files"]) == [
        "/etc/docker/certs.d/docker.io/nimctl.crt",
        "/etc/docker/certs.d/m:1/nimctl.crt",
    ]
    assert "/etc/containers/certs.d/reg:5000/nimctl.crt" in paths(
        plan(name="podman", registries=[REGISTRY])["files"]
    )


def test_mirrors():
    hub = {"host": "docker.io", "mirrors": ["m:1"], "ca": "", "insecure": False}
    assert plan(registries=[hub])["daemon_values"] == {"registry-mirrors": ["https://m:1"]}
    insecure = plan(registries=[{**hub, "insecure": True}])["daemon_values"]
    assert insecure == {"registry-mirrors": ["http://m:1"], "insecure-registries": ["m:1"]}
    other = {**hub, "host": "nvcr.io"}
    with pytest.raises(AnsibleFilterError, match="docker has mirrors for docker"):
        plan(registries=[other])
    assert "/etc/containers/registries.conf.d/50-nimctl.conf" in paths(
        plan(name="podman", registries=[other])["files"]
    )


def test_an_insecure_registry():
    assert plan(registries=[{**REGISTRY, "ca": "", "insecure": True}])["daemon_values"] == {
        "insecure-registries": ["reg:5000"]
    }


def test_a_proxy_of_docker_is_a_drop_in_of_its_service():
    found = plan(proxy={"https": "http://proxy:3128"})
    assert paths(found["files"]) == ["/etc/systemd/system/docker.service.d/50-nimctl-proxy.conf"]
    assert plan(proxy={"http": "", "https": "", "no_proxy": ["x"]})["files"] == []


def test_what_a_distribution_does_not_have_is_said():
    with pytest.raises(AnsibleFilterError, match="RedHat-9 has no package of docker"):
        plan(distribution="RedHat-9", family="RedHat")
    with pytest.raises(
        AnsibleFilterError, match=r"Slackware-15 is not supported. Supported are Debian-13, RedHat-9"
    ):
        plan(distribution="Slackware-15")


def test_settings_of_the_user_win():
    assert plan(daemon={"live-restore": False})["daemon_values"] == {"live-restore": False}


@pytest.mark.parametrize(("text", "size"), [("100m", 104857600), ("10k", 10240), ("1G", 2**30), ("512", 512)])
def test_sizes(text, size):
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "10x", "-1", "1.5g"])
def test_what_is_no_size(text):
    with pytest.raises(EngineError, match="log_max_size"):
        size_in_bytes(text)
