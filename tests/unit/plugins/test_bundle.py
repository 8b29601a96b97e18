"""What a node takes of a bundle, from whom, and how its package manager and engine come to it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import bundle, bundle_registry, bundle_server
from ansible_collections.nimctl.multinode.plugins.module_utils import package_manager as managers
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Change

DEBIAN = {"name": "debian-13-x86_64", "ids": ["debian"], "version": "13", "architecture": "x86_64"}
ROCKY = {"name": "rhel-9-x86_64", "ids": ["rhel", "rocky"], "version": "9", "architecture": "x86_64"}
FILES = {"packages/p/a.deb": b"first", "packages/p/b.deb": b"second" * 100, "images/blobs/sha256/c": b"blob"}


def listed(files=FILES):
    return {path: (hashlib.sha256(content).hexdigest(), len(content)) for path, content in files.items()}


def archive(path, files=FILES):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "node"


@pytest.fixture
def other(tmp_path):
    """Another node of the cluster, that serves; its address."""
    root = tmp_path / "other"
    for name, content in {**FILES, "secret": b"no"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    server = bundle_server.server(root, 0, "token")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (("debian", "13", "x86_64"), "debian-13-x86_64"),
        (("debian", "13.2", "x86_64"), "debian-13-x86_64"),
        (("rocky", "9.6", "x86_64"), "rhel-9-x86_64"),
    ],
)
def test_a_node_knows_which_packages_are_for_it(found, name):
    assert bundle.fitting([DEBIAN, ROCKY], found) == name


@pytest.mark.parametrize(
    "found", [("debian", "12", "x86_64"), ("debian", "13", "aarch64"), ("debian", "130", "x86_64")]
)
def test_another_system_is_refused_before_anything_comes(found):
    with pytest.raises(NodeError, match="debian-13-x86_64, rhel-9-x86_64, and this node runs debian"):
        bundle.fitting([DEBIAN, ROCKY], found)


def test_what_came_is_not_missing_any_more(folder, tmp_path):
    assert bundle.missing(listed(), folder) == list(FILES)
    taken = bundle.Receiver(listed(), folder).unpack(archive(tmp_path / "a.tar"))
    assert taken == list(FILES)
    assert bundle.missing(listed(), folder) == []
    assert (folder / "packages/p/b.deb").read_bytes() == FILES["packages/p/b.deb"]


def test_a_file_that_was_altered_on_its_way_gets_no_name(folder, tmp_path):
    altered = {**FILES, "packages/p/b.deb": b"SECOND" * 100}
    with pytest.raises(NodeError, match=r"b\.deb from the controller was altered"):
        bundle.Receiver(listed(), folder).unpack(archive(tmp_path / "a.tar", altered))
    assert bundle.missing(listed(), folder) == ["packages/p/b.deb", "images/blobs/sha256/c"]


def test_an_archive_brings_nothing_that_nobody_asked_for(folder, tmp_path):
    with pytest.raises(NodeError, match=r"\.\./escape, which is no file of the bundle"):
        bundle.Receiver(listed(), folder).unpack(archive(tmp_path / "a.tar", {"../escape": b"x"}))
    assert not (tmp_path / "escape").exists()


def test_files_come_from_another_node_and_go_on_where_they_broke_off(folder, other):
    part = folder / "packages/p/b.deb.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES["packages/p/b.deb"][:50])
    bundle.Receiver(listed(), folder).fetch(FILES, [other], "token")
    assert bundle.missing(listed(), folder) == []


def test_a_node_that_is_down_is_passed_over(folder, other):
    bundle.Receiver(listed(), folder).fetch(FILES, ["http://127.0.0.1:9", other], "token")
    assert bundle.missing(listed(), folder) == []


def test_without_any_node_the_error_names_the_other_way(folder):
    with pytest.raises(NodeError, match="nimctl_bundle_port to 0"):
        bundle.Receiver(listed(), folder).fetch(FILES, ["http://127.0.0.1:9"], "token")


def test_a_node_that_gives_something_else_is_not_believed(folder, other):
    files = {**listed(), "packages/p/a.deb": ("0" * 64, 5)}
    with pytest.raises(NodeError, match="was altered"):
        bundle.Receiver(files, folder).fetch(["packages/p/a.deb"], [other], "token")


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/packages/p/a.deb", "", 403),
        ("/packages/p/a.deb", "guess", 403),
        ("/secret", "token", 404),
        ("/packages/../secret", "token", 404),
        ("/packages/p", "token", 404),
        ("/../../../etc/passwd", "token", 404),
    ],
)
def test_nobody_else_gets_anything_and_nobody_gets_more(other, path, token, status):
    request = urllib.request.Request(other + path, headers={bundle.HEADER: token})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == status


@pytest.fixture
def taken(folder, tmp_path, ours):
    bundle.Receiver(listed(), folder).unpack(archive(tmp_path / "a.tar"))
    return folder


def test_files_of_an_older_bundle_go_and_what_is_wanted_stays(taken, monkeypatch):
    monkeypatch.setattr("os.fchown", lambda *_: None)
    bundle.activate("p", ["packages/p/a.deb"], taken)
    assert bundle.active(taken)
    assert [path.name for path in (taken / "packages").rglob("*") if path.is_file()] == ["a.deb"]
    assert not any((taken / "images").rglob("*"))
    assert "[trusted=yes] file:" in (taken / "apt/sources.list").read_text()
    bundle.deactivate(taken)
    assert not bundle.active(taken)


def test_package_managers_read_the_bundle_and_nothing_else_while_it_is_active(taken, monkeypatch):
    monkeypatch.setattr("os.fchown", lambda *_: None)
    monkeypatch.setattr(bundle, "FOLDER", taken)
    monkeypatch.setattr(managers.shutil, "which", lambda name: f"/usr/bin/{name}")
    calls = []

    def run(command, **_):
        calls.append(command)
        return 0, "", ""

    managers.package_manager(run).update()
    assert not any("sourceparts" in word for word in calls[-1])
    bundle.activate("p", ["packages/p/a.deb"], taken)
    manager = managers.package_manager(run)
    manager.update()
    assert manager.bundled
    assert calls[-1][:2] == ["apt-get", "-o"]
    assert "Dir::Etc::sourceparts=/dev/null" in calls[-1]
    managers.reading_bundle(run)(["apt-get", "download", "a=1"], cwd="/")
    assert "Dir::Etc::sourceparts=/dev/null" in calls[-1]
    manager.installed(["podman"])
    assert calls[-1][:2] == ["dpkg-query", "--show"]


MANIFEST = json.dumps({"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}).encode()
IMAGE = f"r.example.org/team/a@sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


@pytest.fixture
def blobs(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / hashlib.sha256(MANIFEST).hexdigest()).write_bytes(MANIFEST)
    return tmp_path / "blobs"


def test_an_engine_finds_an_image_under_its_own_name(blobs):
    assert bundle_registry.has(blobs, IMAGE)
    assert not bundle_registry.has(blobs, "r.example.org/team/a:1")
    with bundle_registry.for_podman(blobs, IMAGE) as environment:
        text = Path(environment["CONTAINERS_REGISTRIES_CONF"]).read_text()
        assert 'prefix = "r.example.org/team/a"' in text
        address = text.partition('location = "')[2].partition("/")[0]
        digest = IMAGE.partition("@")[2]
        url = f"http://{address}/v2/team/a/manifests/{digest}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == MANIFEST
            assert answer.headers["Content-Type"] == "application/vnd.docker.distribution.manifest.v2+json"
            assert answer.headers["Docker-Content-Digest"] == digest
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://{address}/v2/team/a/blobs/sha256:{'0' * 64}", timeout=10)


def test_docker_is_told_the_name_for_the_moment_of_the_pull(blobs, tmp_path, monkeypatch):
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n1.2.3.4 r.example.org {bundle_registry.MARK}\n")
    monkeypatch.setattr(bundle_registry, "HOSTS", hosts)
    image = IMAGE.replace("r.example.org", "r.example.org:18477")
    with bundle_registry.for_docker(blobs, image):
        first = hosts.read_text().splitlines()[0]
        assert first == f"{bundle_registry.ADDRESS} r.example.org {bundle_registry.MARK}"
        assert "1.2.3.4" not in hosts.read_text()
        urllib.request.urlopen(f"http://{bundle_registry.ADDRESS}:18477/v2/", timeout=10).close()
    assert hosts.read_text() == "127.0.0.1 localhost\n"


def test_what_lies_in_a_bundle_need_not_be_downloaded():
    listing = "'file:/var/lib/nimctl-bundle/a.deb' a.deb 5 \n'http://example.org/b.deb' b.deb 5 SHA256:0\n"
    apt = managers.Apt(lambda command, **_: (0, listing, ""), bundled=True)
    assert apt.to_download(Change({"a": "1", "b": "1"})) == ["b.deb"]
