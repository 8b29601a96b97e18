import http.server
import json
import threading

import pytest

from nimctl.run import checks
from nimctl.run.target import load


class Served(http.server.BaseHTTPRequestHandler):
    """A served model, with the faults that a test asks for."""

    fault = ""

    def do_GET(self):
        if self.path == "/v1/health/ready":
            self.answer(503 if self.fault == "health" else 200, {})
        elif self.path == "/v1/models":
            name = "another" if self.fault == "models" else "tiny-model"
            self.answer(200, {"data": [{"id": name}]})
        else:
            self.answer(404, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path == "/v1/chat/completions"
        if self.fault == "no chat" and chat:
            self.answer(404, {"error": "no chat template"})
        elif self.fault == "completion":
            self.answer(500, {"error": "a rank was lost"})
        elif body["stream"]:
            chunks = ['data: {"choices": []}', "", 'data: {"choices": []}', ""]
            chunks += [] if self.fault == "stream" else ["data: [DONE]", ""]
            self.answer(200, "\n".join(chunks) + "\n")
        else:
            choice = {"message": {"content": "hello"}} if chat else {"text": "hello"}
            self.answer(200, {"choices": [choice], "usage": {"completion_tokens": 3}})

    def answer(self, status, content):
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def served(inventory):
    """Serves on the loopback; gives a cluster whose leader is there, its worker at another address."""
    handler = type("Handler", (Served,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        text = (inventory / "cluster.yml").read_text()
        text = text.replace("10.89.72.[11-13]", "127.0.0.[1-3]").replace(
            "    parallel: {pipeline: 2}",
            f"    parallel: {{pipeline: 2}}\n    port: {running.server_address[1]}",
        )
        # The port is any free one; a firewall would want to know where the engines take theirs.
        text = text.replace("stack:\n", "stack:\n  firewall: {mode: ignore}\n")
        (inventory / "cluster.yml").write_text(text)
        yield load(inventory), handler
        running.shutdown()


def asked(target):
    return {check.kind: check for check in checks.run(target, "tiny", timeout=5)}


def test_a_served_model_passes(served):
    target, _ = served
    found = asked(target)
    assert list(found) == ["health", "models", "completion", "stream", "workers"]
    assert all(check.passed for check in found.values()), found
    assert found["completion"].detail == "'hello', 3 tokens"
    assert found["stream"].detail == "2 chunks, then [DONE]"
    assert "node2" in found["workers"].detail


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("models", "serves another, not tiny-model"),
        ("completion", "500"),
        ("stream", "without [DONE]"),
    ],
)
def test_each_fault_is_found(served, fault, detail):
    target, handler = served
    handler.fault = fault
    found = asked(target)
    assert not found[fault].passed
    assert detail in found[fault].detail


def test_a_model_without_a_chat_template_is_asked_for_plain_completions(served):
    target, handler = served
    handler.fault = "no chat"
    assert all(check.passed for check in asked(target).values())


def test_what_is_not_healthy_is_not_asked(served):
    target, handler = served
    handler.fault = "health"
    found = asked(target)
    assert [kind for kind, check in found.items() if not check.passed] == [
        "health",
        "models",
        "completion",
        "stream",
    ]
    assert found["completion"].detail.startswith("not asked")


def test_a_worker_that_serves_http_is_found(served):
    target, _ = served
    port = target.endpoints("tiny")[0].url.rpartition(":")[2]
    with http.server.ThreadingHTTPServer(("127.0.0.2", int(port)), Served) as worker:
        threading.Thread(target=worker.serve_forever, daemon=True).start()
        check = asked(target)["workers"]
        worker.shutdown()
    assert not check.passed
    assert "tiny-0-1 on node2 answers HTTP" in check.detail


def test_nobody_is_there(served):
    target, _ = served
    unreachable = next(iter(checks.run(target, "solo", timeout=1)))
    assert not unreachable.passed
    assert "does not answer" in unreachable.detail
