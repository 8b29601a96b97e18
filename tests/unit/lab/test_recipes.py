from __future__ import annotations

import dataclasses

from nimctl.lab import apt, images, node, rehearsal
from nimctl.lab.machine import Machine

SOURCES = apt.Sources("http://mirror.example/debian", "http://mirror.example/security", (), ())
PLAIN = Machine(True, True, None, None)
POOR = Machine(False, False, 20000, 32768)


def test_an_image_is_named_by_what_it_is_made_from():
    recipe, _ = images.recipes(SOURCES)
    assert recipe.reference == images.recipes(SOURCES)[0].reference
    changes = [
        {"base": "other"},
        {"script": recipe.script + "true\n"},
        {"variables": (("NODE_PACKAGES", "systemd"),)},
        {"files": {}},
        {"changes": ()},
    ]
    others = {dataclasses.replace(recipe, **change).reference for change in changes}
    assert len(others | {recipe.reference}) == len(changes) + 1


def test_nodes_are_bare_and_have_the_engines_packages_at_hand():
    recipe, _ = images.recipes(SOURCES)
    variables = dict(recipe.variables)
    installed = set(variables["NODE_PACKAGES"].split())
    assert not installed & {"podman", "docker.io", "runc", "crun", "containerd"}
    assert {"podman", "docker.io"} <= set(variables["CACHED_PACKAGES"].split())


def test_the_rehearsal_image_carries_the_engine_and_starts_as_nim_does(tmp_path):
    base, top = rehearsal.recipes(SOURCES, tmp_path)
    assert top.base == base.reference
    assert top.files["/opt/nim/start_server.sh"].mode == 0o755
    assert 'CMD ["/opt/nim/start_server.sh"]' in top.changes
    assert "USER 1000:1000" in top.changes
    assert not any(change.startswith("ENTRYPOINT") for change in top.changes)


def keys(tmp_path):
    for name in ("host", "user"):
        (tmp_path / name).write_text("private\n")
        (tmp_path / f"{name}.pub").write_text(f"ssh-ed25519 {name}\n")
    return tmp_path / "host", tmp_path / "user.pub"


def test_a_usual_machine_puts_nothing_into_the_engines_settings(tmp_path):
    files = node.node_files(*keys(tmp_path), PLAIN, 0)
    assert not [
        path for path in files if path.startswith(("/etc/docker", "/etc/containers", "/usr/local/sbin"))
    ]
    assert files["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600


def test_a_peculiar_machine_gets_a_runtime_for_both_engines(tmp_path):
    files = node.node_files(*keys(tmp_path), POOR, 0)
    assert files["/usr/local/sbin/runc-lab"].mode == 0o755
    assert b'runtime = "lab"' in files["/etc/containers/containers.conf.d/90-lab.conf"].content
    assert b'"default-runtime": "lab"' in files["/etc/docker/daemon.json"].content


def test_stand_ins_for_gpus_are_another_dev_null_and_known_by_cdi(tmp_path):
    files = node.node_files(*keys(tmp_path), PLAIN, 2)
    lines = files["/etc/tmpfiles.d/nimctl-lab-gpus.conf"].content.decode().splitlines()
    assert "c /dev/nvidia1 0666 root root - 1:3" in lines
    assert not [line for line in lines if "nvidia2" in line]
    assert b'"kind": "nvidia.com/gpu"' in files["/etc/cdi/nvidia.yaml"].content
