"""Two ranks under each contract, and groups that cannot come together."""

import time

import pytest


@pytest.fixture
def run(starter):
    """Starts ranks: ``run([(environment, command), ...])``."""

    def start(pairs):
        return [starter.rank(environment, *command) for environment, command in pairs]

    return start


@pytest.fixture(scope="module")
def waiting_leader(shared):
    """A leader of three ranks that nobody has joined."""
    _, ranks = shared.group(3, absent=(1, 2), group="a", model="tiny")
    ranks[0].logs("waiting for 2 more ranks")
    return shared


def check(api_class, number, name, ranks, ready="/v1/health/ready"):
    api = api_class(number)
    api.ready(ready)
    assert [model["id"] for model in api.call("/v1/models")[1]["data"]] == [name]
    assert api.text(model=name, max_tokens=4)
    topology = api.call("/v1/rehearsal/topology")[1]
    assert [rank["layers"] for rank in topology] == [[0, 3], [4, 7]]
    assert "all 2 ranks joined" in ranks[0].log
    assert f"ready, serving {name} on" in ranks[0].log
    return api


def test_nim1_env(run, port, api_class):
    api, rendezvous = port(), str(port())
    shared = {
        "NIM_MULTI_NODE": "1",
        "NIM_NUM_COMPUTE_NODES": "2",
        "NIM_TENSOR_PARALLEL_SIZE": "1",
        "NIM_PIPELINE_PARALLEL_SIZE": "2",
        "NIM_LEADER_IP_ADDRESS": "127.0.0.1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": rendezvous,
        "NIM_USE_SGLANG": "1",
        "NIM_SERVED_MODEL_NAME": "deepseek-ai/deepseek-r1",
        "NIM_SERVER_PORT": str(api),
    }
    ranks = run(
        [
            ({**shared, "NIM_LEADER_ROLE": "1", "NIM_NODE_RANK": "0"}, ()),
            ({**shared, "NIM_LEADER_ROLE": "0", "NIM_NODE_RANK": "1"}, ()),
        ]
    )
    client = check(api_class, api, "deepseek-ai/deepseek-r1", ranks)
    assert client.status("/health") == 404
    assert "generation_tokens_total{" in client.call("/v1/metrics")[1]


def test_nim2_ray_numbers_workers_as_they_join(run, port, api_class):
    api, ray = port(), str(port())
    head = {
        "NIM_NUM_COMPUTE_NODES": "2",
        "NIM_TENSOR_PARALLEL_SIZE": "1",
        "NIM_PIPELINE_PARALLEL_SIZE": "2",
        "NIM_JSONL_LOGGING": "0",
        "NIM_SERVED_MODEL_NAME": "tiny",
        "NIM_SERVER_PORT": str(api),
    }
    ranks = run(
        [
            (head, ("nim-serve-ray", "--head", "--port", ray)),
            ({"NIM_JSONL_LOGGING": "0"}, ("nim-serve-ray", "--head-address", f"127.0.0.1:{ray}")),
        ]
    )
    check(api_class, api, "tiny", ranks)
    assert "joined the leader as rank 1" in ranks[1].log


def test_nim_variant_prints_what_the_worker_needs(run, port, api_class):
    api, manager = port(), str(port())
    sizes = {"NIM_TENSOR_PARALLEL_SIZE": "1", "NIM_PIPELINE_PARALLEL_SIZE": "2"}
    shared = {"NIM_NODE_MANAGER_PORT": manager, "NIM_SERVED_MODEL_NAME": "tiny", **sizes}
    own = {"REHEARSAL_ADDRESS": "127.0.0.1"}
    ranks = run([({**shared, **own, "NIM_SERVER_PORT": str(api)}, ())])
    ranks[0].logs(f"start worker node with NIM_PRIMARY_NODE=127.0.0.1 NIM_NODE_MANAGER_PORT={manager}")
    ranks += run([({**shared, "NIM_PRIMARY_NODE": "127.0.0.1", "NIM_SERVER_PORT": str(port())}, ())])
    check(api_class, api, "tiny", ranks)


def test_article(run, port, api_class):
    api, rendezvous = port(), str(port())
    shared = {
        "NIM_MODEL_NAME": "deepseek-ai/deepseek-r1",
        "NIM_TENSOR_PARALLEL_SIZE": "1",
        "NIM_PIPELINE_PARALLEL_SIZE": "2",
        "NIM_NUM_NODES": "2",
        "NIM_MASTER_ADDR": "127.0.0.1",
        "NIM_MASTER_PORT": rendezvous,
        "NCCL_IB_DISABLE": "0",
        "NIM_SERVER_PORT": str(api),
    }
    ranks = run([({**shared, "NIM_NODE_RANK": str(rank)}, ()) for rank in (0, 1)])
    check(api_class, api, "deepseek-ai/deepseek-r1", ranks)


def test_vllm(run, port, api_class):
    api = port()
    shared = ["vllm", "serve", "some/model", "--served-model-name", "tiny", "-pp", "2", "--nnodes", "2"]
    shared += ["--master-addr", "127.0.0.1", "--master-port", str(port()), "--enforce-eager"]
    ranks = run(
        [
            ({}, (*shared, "--node-rank", "0", "--host", "0.0.0.0", "--port", str(api))),
            ({}, (*shared, "--node-rank", "1", "--headless")),
        ]
    )
    client = check(api_class, api, "tiny", ranks, ready="/health")
    assert client.status("/v1/health/ready") == 404
    assert "vllm:generation_tokens_total{" in client.call("/metrics")[1]


def test_sglang(run, port, api_class):
    api = port()
    shared = ["sglang", "--model-path", "some/model", "--tp-size", "1", "--pp-size", "2", "--nnodes", "2"]
    shared += ["--dist-init-addr", f"127.0.0.1:{port()}", "--port", str(api), "--enable-metrics"]
    ranks = run([({}, (*shared, "--node-rank", str(rank))) for rank in (0, 1)])
    client = check(api_class, api, "some/model", ranks, ready="/health")
    assert "sglang:generation_tokens_total{" in client.call("/metrics")[1]


def test_ipv6_from_end_to_end(starter, api_class):
    api, _ = starter.group(2, leader="::1")
    api.ready()
    assert api_class(api.port, "::1").text(max_tokens=3)


def test_not_ready_before_every_rank_has_joined(starter):
    api, ranks = starter.group(3, absent=(2,))
    ranks[0].logs("rank 1 of 3 joined")
    assert api.status("/v1/health/live") == 200
    assert api.status("/v1/health/ready") == 503
    status, answer = api.call("/v1/chat/completions", {"messages": []})
    assert (status, answer["error"]["code"]) == (503, 503)
    assert api.call("/v1/rehearsal/topology")[1] == []


def test_a_rank_that_stays_away_is_named(starter):
    _, ranks = starter.group(3, absent=(1, 2), join_seconds="0.5")
    assert ranks[0].ends() == 1
    assert "timed out after 0.5 s waiting for rank 1, 2 of 3 to join" in ranks[0].log


def test_a_leader_that_nobody_reaches(starter):
    _, ranks = starter.group(2, absent=(0,), join_seconds="0.5")
    assert ranks[0].ends() == 1
    assert "trying to join the leader at 127.0.0.1:" in ranks[0].log
    assert "Connection refused" in ranks[0].log


def test_a_rank_0_elsewhere_than_its_leader_address(starter):
    # 192.0.2.0/24 is for documentation: no machine has such an address.
    _, ranks = starter.group(2, absent=(1,), leader="192.0.2.1")
    assert ranks[0].ends() == 1
    assert "192.0.2.1 is no address of this machine" in ranks[0].log


def test_two_ranks_with_one_number(starter):
    api, ranks = starter.group(3, absent=(2,))
    ranks[0].logs("rank 1 of 3 joined")
    second = starter.again(1)
    assert second.ends() == 1
    assert "refused this rank: rank 1 has already joined from" in second.log
    assert "two ranks have one number" in ranks[0].log
    starter.again(2)
    api.ready()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"REHEARSAL_NODES": "4"}, "rank 1 has nodes=4, but the leader has nodes=3"),
        ({"REHEARSAL_RANK": "3", "REHEARSAL_NODES": "4"}, "rank 3 is not between 1 and 2"),
        ({"REHEARSAL_SEED": "9"}, "rank 1 has seed=9, but the leader has seed=1"),
        ({"REHEARSAL_MODEL": "other"}, "rank 1 has model='other', but the leader has model='tiny'"),
        ({"REHEARSAL_PIPELINE": "1", "REHEARSAL_TENSOR": "3"}, "rank 1 has tensor=3"),
        ({"REHEARSAL_GROUP": "b"}, "rank 1 has group='b', but the leader has group='a'"),
    ],
    ids=["size", "number", "seed", "model", "split", "group"],
)
def test_ranks_that_do_not_belong_together(waiting_leader, starter, change, message):
    rank = starter.rank({**waiting_leader.environment(1), **change})
    assert rank.ends() == 1
    assert f"refused this rank: {message}" in rank.log


def test_ports_in_use(starter, waiting_leader, port):
    environment = waiting_leader.environment(0)
    same_api = starter.rank(environment)
    assert same_api.ends() == 1
    assert "cannot serve on" in same_api.log
    same_rendezvous = starter.rank({**environment, "REHEARSAL_PORT": str(port())})
    assert same_rendezvous.ends() == 1
    assert "cannot listen for the other ranks" in same_rendezvous.log
    assert "Address already in use" in same_rendezvous.log


def test_strangers_at_the_rendezvous_port_do_no_harm(starter, api_class):
    api, ranks = starter.group(2, absent=(1,))
    ranks[0].logs("waiting for 1 more ranks")
    stranger = api_class(int(starter.environment(0)["REHEARSAL_RENDEZVOUS_PORT"]))
    assert stranger.status("/") == 0
    starter.again(1)
    api.ready()
    assert "was no rank of this group" in ranks[0].log


def test_a_rank_restarted_before_the_group_is_complete(starter):
    api, ranks = starter.group(3, absent=(2,))
    ranks[0].logs("rank 1 of 3 joined")
    ranks[1].kill()
    starter.again(1)
    starter.again(2)
    api.ready()
    assert api.text(max_tokens=2)


def test_slow_start(starter):
    begin = time.monotonic()
    api, _ = starter.group(1, start_seconds="0.8")
    api.ready()
    assert time.monotonic() - begin > 0.8


def test_launch_errors_end_the_process(starter):
    broken = starter.rank({"NIM_MULTI_NODE": "1"})
    assert broken.ends() == 1
    assert "ERROR [rank ?] NIM_NODE_RANK is not set" in broken.log
    unknown = starter.rank({}, "vllm", "serve", "m", "--bogus")
    assert unknown.ends() == 2
    assert "unrecognized arguments: --bogus" in unknown.log
