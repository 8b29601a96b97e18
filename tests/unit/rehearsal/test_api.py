"""The OpenAI routes of a leader."""

import http.client
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nimctl.rehearsal.engine.openai import StopBuffer
from nimctl.rehearsal.engine.text import decode, encode

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Say hello to the cluster"}]


@pytest.fixture(scope="module")
def api(shared):
    """Two ranks, so that every answer has crossed a link."""
    api, _ = shared.group(2)
    api.ready()
    return api


def test_models(api):
    status, answer = api.call("/v1/models")
    assert status == 200
    assert [(model["id"], model["object"]) for model in answer["data"]] == [("tiny", "model")]


def test_chat_completion(api):
    answer = api.chat(model="tiny", max_tokens=12, temperature=0)
    choice = answer["choices"][0]
    assert answer["object"] == "chat.completion"
    assert choice["finish_reason"] == "length"
    assert choice["message"]["role"] == "assistant"
    assert len(encode(choice["message"]["content"])) == 12
    assert answer["usage"]["completion_tokens"] == 12
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 12


def test_an_answer_ends_by_itself(api):
    ends = [api.chat(f"Question {number}", max_tokens=400)["choices"][0] for number in range(2)]
    assert [end["finish_reason"] for end in ends] == ["stop", "stop"]
    assert all(end["message"]["content"].endswith(".") for end in ends)


def test_a_completion_goes_on_where_the_prompt_stops(api):
    options = {"temperature": 0, "ignore_eos": True}
    status, answer = api.call(COMPLETIONS, {"prompt": "The leader waits until every", **options})
    assert status == 200
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"].startswith(" ")
    assert answer["usage"]["completion_tokens"] == 16
    _, same = api.call(COMPLETIONS, {"prompt": [256, *encode("The leader waits until every")], **options})
    assert same["choices"] == answer["choices"]


@pytest.mark.parametrize(
    ("path", "ask"),
    [(CHAT, {"messages": MESSAGES}), (COMPLETIONS, {"prompt": "Every rank"})],
    ids=["chat", "plain"],
)
def test_a_stream_says_what_a_whole_answer_says(api, path, ask):
    body = {"model": "tiny", "max_tokens": 30, "seed": 5, **ask}
    whole = api.call(path, body)[1]
    events = api.stream(path, {**body, "stream_options": {"include_usage": True}})
    last = events.pop()
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    choices = [event["choices"][0] for event in events]
    if path == CHAT:
        assert choices[0]["delta"] == {"role": "assistant", "content": ""}
        text = "".join(choice["delta"].get("content", "") for choice in choices)
        assert text == whole["choices"][0]["message"]["content"]
    else:
        assert "".join(choice["text"] for choice in choices) == whole["choices"][0]["text"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [
        whole["choices"][0]["finish_reason"]
    ]
    assert len(choices) > 10
    assert all("usage" not in event for event in events)


def test_a_stream_arrives_piece_by_piece(starter):
    slow, _ = starter.group(1, token_seconds="0.2")
    slow.ready()
    connection = http.client.HTTPConnection("127.0.0.1", slow.port, timeout=20)
    connection.request("POST", COMPLETIONS, json.dumps({"prompt": "Every", "max_tokens": 20, "stream": True}))
    answer = connection.getresponse()
    assert answer.readline().startswith(b"data: ")
    # 20 tokens take four seconds; the request is still running when the first one is here.
    assert 'num_requests_running{model_name="tiny"} 1' in slow.call("/v1/metrics")[1]
    connection.close()


def test_what_a_client_leaves_behind_is_dropped(starter, until):
    slow, _ = starter.group(1, token_seconds="0.05")
    slow.ready()
    with pytest.raises(TimeoutError):
        slow.call(COMPLETIONS, {"prompt": "Every", "max_tokens": 100000, "ignore_eos": True}, timeout=0.3)
    until(
        lambda: 'num_requests_running{model_name="tiny"} 0' in slow.call("/v1/metrics")[1],
        "the request to go",
    )
    assert 'finished_reason="abort"} 1' in slow.call("/v1/metrics")[1]


def test_sampling_is_repeatable_and_follows_the_seed(api):
    assert api.text(seed=1) == api.text(seed=1)
    assert len({api.text(seed=seed) for seed in range(4)}) > 1
    assert api.text(seed=1, temperature=0) == api.text(seed=2, temperature=0)
    assert api.text(seed=3, top_p=0.0001) == api.text(temperature=0)


def test_stop_words_end_an_answer_before_them(api):
    full = api.text(temperature=0, max_tokens=40)
    word = full.split(" ")[4]
    cut = api.chat(temperature=0, max_tokens=40, stop=[word, "never said"])["choices"][0]
    assert cut["finish_reason"] == "stop"
    assert cut["message"]["content"] == full[: full.index(word)]
    events = api.stream(CHAT, {"messages": MESSAGES, "temperature": 0, "max_tokens": 40, "stop": word})
    assert (
        "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        == full[: full.index(word)]
    )


def test_concurrent_requests_get_the_tokens_they_get_alone(api):
    prompts = [f"Question {number}: {'how many ranks? ' * (number % 4 * 12)}" for number in range(8)]
    alone = [api.text(prompt, seed=number) for number, prompt in enumerate(prompts)]
    with ThreadPoolExecutor(len(prompts)) as pool:
        together = list(pool.map(lambda ask: api.text(ask[1], seed=ask[0]), enumerate(prompts)))
    assert together == alone


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "message"),
    [
        (CHAT, b"{", 400, "BadRequestError", "no JSON"),
        (CHAT, [], 400, "BadRequestError", "must be a JSON object"),
        (CHAT, {"messages": []}, 400, "BadRequestError", "at least one message"),
        (CHAT, {"messages": [{"role": "robot", "content": ""}]}, 400, "BadRequestError", "needs a role"),
        (CHAT, {"messages": [{"role": "user", "content": 7}]}, 400, "BadRequestError", "must be text"),
        (
            CHAT,
            {"messages": MESSAGES, "model": "gpt"},
            404,
            "NotFoundError",
            "The model `gpt` does not exist.",
        ),
        (CHAT, {"messages": MESSAGES, "max_tokens": 0}, 400, "BadRequestError", "max_tokens"),
        (CHAT, {"messages": MESSAGES, "max_tokens": 10**9}, 400, "BadRequestError", "too large"),
        (CHAT, {"messages": MESSAGES, "temperature": 3}, 400, "BadRequestError", "between 0 and 2"),
        (CHAT, {"messages": MESSAGES, "temperature": True}, 400, "BadRequestError", "between 0 and 2"),
        (CHAT, {"messages": MESSAGES, "stream": "yes"}, 400, "BadRequestError", "true or false"),
        (CHAT, {"messages": MESSAGES, "stop": [""]}, 400, "BadRequestError", "none of them empty"),
        (CHAT, {"messages": MESSAGES, "stream_options": {}}, 400, "BadRequestError", "needs stream=true"),
        (CHAT, {"messages": MESSAGES, "n": 2}, 400, "BadRequestError", "only n=1"),
        (COMPLETIONS, {"prompt": 3}, 400, "BadRequestError", "prompt must be"),
        (COMPLETIONS, {"prompt": [10**6]}, 400, "BadRequestError", "token ids"),
        (COMPLETIONS, {"prompt": ["a", "b"]}, 400, "BadRequestError", "one only"),
        ("/v1/embeddings", {}, 404, "NotFoundError", "no such route"),
        ("/v1/nothing", None, 404, "NotFoundError", "no such route"),
    ],
    ids=str,
)
def test_errors_have_the_shape_that_clients_expect(api, path, body, status, kind, message):
    found, answer = api.call(path, body)
    assert found == status
    assert answer["error"]["code"] == status
    assert answer["error"]["type"] == kind
    assert message in answer["error"]["message"]
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_a_prompt_that_is_too_long(starter):
    api, _ = starter.group(1, max_model_len="50")
    api.ready()
    status, answer = api.call(COMPLETIONS, {"prompt": "rank " * 200})
    assert status == 400
    assert "maximum context length is 50 tokens" in answer["error"]["message"]
    assert api.chat("hi", max_tokens=None)["usage"]["total_tokens"] <= 50


def test_a_very_long_prompt_is_answered_quickly(api):
    # Only what the window reaches is computed, so 100 000 tokens cost hardly more than 1 000.
    answer = api.chat(" rank" * 100_000, max_tokens=2)
    assert answer["usage"]["prompt_tokens"] > 100_000


def test_metrics_count_what_was_served(api):
    def counts():
        text = api.call("/v1/metrics")[1]
        return {name: float(value) for name, value in re.findall(r"^(\w+){[^}]*} (\S+)$", text, re.M)}

    before = counts()
    api.chat(max_tokens=7, ignore_eos=True)
    after = counts()
    assert after["generation_tokens_total"] - before["generation_tokens_total"] == 7
    assert after["e2e_request_latency_seconds_count"] - before["e2e_request_latency_seconds_count"] == 1
    assert after["num_requests_running"] == after["num_requests_waiting"] == 0


def test_one_connection_carries_many_requests_and_chunked_bodies(api):
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    local = None
    for _ in range(3):
        body = json.dumps({"prompt": "Every", "max_tokens": 2}).encode()
        connection.request("POST", COMPLETIONS, iter([body[:9], body[9:]]), encode_chunked=True)
        answer = connection.getresponse()
        assert json.loads(answer.read())["usage"]["completion_tokens"] == 2
        local = local or connection.sock.getsockname()
        assert connection.sock.getsockname() == local
    connection.close()


def test_bytes_that_are_no_http(api):
    with socket.create_connection(("127.0.0.1", api.port), 5) as connection:
        connection.sendall(b"\x16\x03\x01\x00\r\n\r\n")
        assert b"400" in connection.recv(200)
    assert api.status("/v1/health/ready") == 200


def test_an_api_key_is_asked_for_where_one_is_set(starter, api_class, port):
    number = port()
    starter.rank({}, "vllm", "serve", "tiny", "--port", str(number), "--api-key", "sesame")
    api = api_class(number)
    api.ready("/health")
    status, answer = api.call("/v1/models")
    assert (status, answer["error"]["code"]) == (401, 401)
    assert api.call(CHAT, {"messages": MESSAGES}, Authorization="Bearer wrong")[0] == 401
    assert api.call("/v1/models", Authorization="Bearer sesame")[0] == 200


@pytest.mark.parametrize(
    "text", ["", "The leader waits.", "  Zwölf Boxkämpfer\n\tjagen — 北京 🙂 ", "rankrank rank"]
)
def test_text_survives_the_tokenizer(text):
    assert decode(encode(text)) == text


def test_words_are_one_token_each():
    assert len(encode("The leader waits until every rank has joined.")) == 9


def test_a_stop_word_is_found_across_pieces():
    buffer = StopBuffer(["END", "N\n"])
    assert [buffer.push(piece) for piece in ("one E", "N", "ough. EN", "D two")] == [
        "one ",
        "",
        "ENough. ",
        "",
    ]
    assert buffer.stopped
    rest = StopBuffer(["END"])
    assert (rest.push("the E"), rest.rest()) == ("the ", "E")


def test_a_slow_prompt_holds_up_nobody_else(starter):
    api, _ = starter.group(1, prefill_seconds_per_1k="0.4")
    api.ready()
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(api.chat, " rank" * 4000, max_tokens=1)
        time.sleep(0.2)
        api.chat("hi", max_tokens=8)
        assert not slow.done()
        assert slow.result()["usage"]["prompt_tokens"] > 4000
    assert time.monotonic() - begin > 1.6
