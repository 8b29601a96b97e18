import http.server
import threading

import pytest
from ansible_collections.nimctl.multinode.plugins.modules import rank_facts

METRICS = """
# HELP generation_tokens_total Number of generation tokens processed.
generation_tokens_total{model_name="a"} 100.0
generation_tokens_total{model_name="b"} 23.0
generation_tokens_total_created 1.7e9
vllm:prompt_tokens_total{engine="0",model_name="x y"} 8.128902e+06 1763928000
plain 5
"""

PODMAN = """[{"Name": "nim-a-0-0", "ImageDigest": "sha256:11", "ImageName": "r:5000/x@sha256:22",
 "State": {"Status": "running", "StartedAt": "2026-11-23T20:00:00Z"},
 "Config": {"Image": "r:5000/x@sha256:22", "Env": ["NGC_API_KEY=nvapi-secret"],
            "Labels": {"nimctl.spec": "0f3c", "nimctl.cluster": "demo"}}}]"""
DOCKER = """[{"Name": "/nim-a-0-0", "Image": "sha256:33", "State": {"Status": "exited", "StartedAt": "x"},
 "Config": {"Image": "r:5000/x@sha256:22", "Labels": null}}]"""


@pytest.fixture
def server():
    """An HTTP server on the loopback; answers /ready with 503, /metrics with the text above."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = METRICS if self.path == "/metrics" else ""
            self.send_response({"/metrics": 200, "/ready": 503, "/live": 200}.get(self.path, 404))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (["generation_tokens_total"], 123),
        (["missing", "vllm:prompt_tokens_total"], 8128902),
        (["plain"], 5),
        (["missing"], None),
    ],
)
def test_counters_are_summed_over_their_labels(names, value):
    assert rank_facts.metric(METRICS, names) == value


def test_the_unit_says_since_when():
    values = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "Result": "success",
        "NRestarts": "2",
        "StateChangeTimestampMonotonic": "50000000",
    }
    state = rank_facts.unit_state(values, now=1000.0, monotonic=60.0)
    assert state == {"state": "active", "sub": "running", "result": "success", "restarts": 2, "since": 990}
    assert rank_facts.unit_state({"LoadState": "not-found"}, 0, 0) is None


def test_containers_of_podman_and_docker_alike_without_their_environment():
    podman = rank_facts.container_states(PODMAN)
    assert podman["nim-a-0-0"]["digest"] == "sha256:22"
    assert podman["nim-a-0-0"]["spec"] == "0f3c"
    assert "nvapi" not in str(podman)
    docker = rank_facts.container_states(DOCKER)
    assert docker["nim-a-0-0"] == {
        "status": "exited",
        "started": "x",
        "image": "r:5000/x@sha256:22",
        "digest": "sha256:22",
        "spec": "",
    }
    assert rank_facts.container_states("") == {}


def test_health_is_asked_on_the_node_itself(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    rank = {"health": {"port": server, "path": "/live"}, "address": "192.0.2.1"}
    assert rank_facts.health(rank, 2) == ({"ok": True, "status": 200, "error": ""}, "127.0.0.1")
    rank["health"]["path"] = "/ready"
    result, address = rank_facts.health(rank, 2)
    assert (result["ok"], result["status"], address) == (False, 503, "127.0.0.1")


def test_nobody_answers():
    rank = {"health": {"port": 1, "path": "/live"}, "address": "127.0.0.1"}
    result, address = rank_facts.health(rank, 2)
    assert (result["ok"], result["status"], address) == (False, 0, "")
    assert result["error"]


def test_tokens_are_read_from_the_first_path_that_answers(server):
    row = {"paths": ["/v1/metrics", "/metrics"], "generated": ["generation_tokens_total"], "prompt": ["none"]}
    rank = {"health": {"port": server}}
    assert rank_facts.tokens(rank, "127.0.0.1", row, 2) == {"generated": 123, "prompt": None}
    assert rank_facts.tokens(rank, "127.0.0.1", {"paths": ["/no"]}, 2) is None


def test_ranks_of_this_cluster_are_found_by_their_units(tmp_path):
    for name, cluster in (("a-0-0", "demo"), ("b-0-1", "other")):
        (tmp_path / f"nim-{name}.service").write_text(
            f"[Service]\nExecStart=x\n\n[X-Nimctl]\nCluster={cluster}\n"
        )
    (tmp_path / "nim-hand-made.service").write_text("[Service]\n")
    assert rank_facts.ranks_here(tmp_path, "demo") == ["a-0-0"]
