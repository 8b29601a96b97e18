"""Each contract's variables and arguments, read without starting anything."""

import shlex

import pytest

from nimctl.rehearsal.engine.contracts import nim2_ray, sglang, vllm
from nimctl.rehearsal.engine.errors import LaunchError
from nimctl.rehearsal.engine.main import start_server
from nimctl.rehearsal.engine.net import split_host_port

NIM1 = {
    "NIM_MULTI_NODE": "1",
    "NIM_LEADER_ROLE": "0",
    "NIM_NODE_RANK": "1",
    "NIM_NUM_COMPUTE_NODES": "2",
    "NIM_TENSOR_PARALLEL_SIZE": "8",
    "NIM_PIPELINE_PARALLEL_SIZE": "2",
    "NIM_LEADER_IP_ADDRESS": "10.0.0.1",
    "HEAD_NODE": "gpu01",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "50000",
    "NIM_USE_SGLANG": "1",
    "NIM_TRUST_CUSTOM_CODE": "1",
    "NIM_SERVED_MODEL_NAME": "deepseek-ai/deepseek-r1",
}
ARTICLE = {
    "NGC_API_KEY": "your-ngc-key",
    "NIM_MODEL_NAME": "deepseek-ai/deepseek-r1",
    "NIM_TENSOR_PARALLEL_SIZE": "8",
    "NIM_PIPELINE_PARALLEL_SIZE": "2",
    "NIM_NODE_RANK": "1",
    "NIM_NUM_NODES": "2",
    "NIM_MASTER_ADDR": "10.0.0.1",
    "NIM_MASTER_PORT": "29500",
    "NCCL_IB_DISABLE": "0",
    "NCCL_SOCKET_IFNAME": "ib0",
}
VARIANT = {"NIM_PRIMARY_NODE": "10.0.0.1", "NIM_NODE_MANAGER_PORT": "20000", "NIM_SERVER_PORT": "8002"}
NATIVE = {
    "REHEARSAL_RANK": "1",
    "REHEARSAL_NODES": "2",
    "REHEARSAL_LEADER": "10.0.0.1",
    "REHEARSAL_ADDRESS": "10.0.0.2",
    "REHEARSAL_TENSOR": "1",
    "REHEARSAL_PIPELINE": "2",
    "REHEARSAL_MODEL": "tiny",
}
RAY = {
    "NIM_NUM_COMPUTE_NODES": "2",
    "NIM_TENSOR_PARALLEL_SIZE": "8",
    "NIM_PIPELINE_PARALLEL_SIZE": "2",
    "NIM_JSONL_LOGGING": "0",
}
HEAD = ["--head", "--port", "6379"]
VLLM = shlex.split(
    "serve deepseek-ai/deepseek-r1 --tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2 "
    "--node-rank 1 --master-addr 10.0.0.1 --master-port 29501 --headless"
)
SGLANG = shlex.split(
    "--model-path deepseek-ai/deepseek-r1 --tp-size 16 --dist-init-addr 10.0.0.1:20000 --nnodes 2 "
    "--node-rank 1 --host 0.0.0.0 --port 30000 --trust-remote-code"
)


def wiring(launch):
    return (
        launch.contract,
        launch.rank,
        launch.nodes,
        launch.tensor,
        launch.pipeline,
        launch.leader,
        launch.rendezvous_port,
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (NIM1, ("nim1-env", 1, 2, 8, 2, "10.0.0.1", 50000)),
        (ARTICLE, ("article", 1, 2, 8, 2, "10.0.0.1", 29500)),
        (VARIANT, ("nim-variant", 1, 2, 2, 1, "10.0.0.1", 20000)),
        (NATIVE, ("rehearsal", 1, 2, 1, 2, "10.0.0.1", 29600)),
        ({"NIM_SERVED_MODEL_NAME": "r1"}, ("nim1-env", 0, 1, 1, 1, "127.0.0.1", 50000)),
        ({}, ("rehearsal", 0, 1, 1, 1, "127.0.0.1", 29600)),
    ],
    ids=["nim1-env", "article", "nim-variant", "rehearsal", "one-nim", "one"],
)
def test_the_environment_tells_the_contract(environment, expected):
    launch = start_server([], environment)
    assert wiring(launch) == expected
    assert not launch.warnings


def test_commands_of_the_other_contracts():
    assert wiring(vllm.read(VLLM, {})) == ("vllm", 1, 2, 8, 2, "10.0.0.1", 29501)
    assert wiring(sglang.read(SGLANG, {})) == ("sglang", 1, 2, 16, 1, "10.0.0.1", 20000)
    head = nim2_ray.read(HEAD, RAY)
    assert wiring(head) == ("nim2-ray", 0, 2, 8, 2, "localhost", 6379)
    worker = nim2_ray.read(["--head-address", "10.0.0.1:6379"], RAY)
    assert wiring(worker) == ("nim2-ray", None, 0, 0, 0, "10.0.0.1", 6379)


def test_names_and_ports_come_from_the_contract(tmp_path):
    nim = start_server([], {**NIM1, "NIM_SERVER_PORT": "8010", "NIM_MODEL_NAME": str(tmp_path)})
    assert (nim.served, nim.port, nim.model) == (("deepseek-ai/deepseek-r1",), 8010, str(tmp_path))
    assert start_server([], ARTICLE).served == ("deepseek-ai/deepseek-r1",)
    assert start_server([], NATIVE).served == ("tiny",)
    named = vllm.read(
        [*VLLM, "--served-model-name", "r1", "large", "--port=8001", "--max_model_len", "4096"], {}
    )
    assert (named.served, named.port, named.settings.max_model_len) == (("r1", "large"), 8001, 4096)
    assert vllm.read(VLLM, {}).served == ("deepseek-ai/deepseek-r1",)
    assert sglang.read([*SGLANG, "--served-model-name", "r1"], {}).served == ("r1",)


def test_the_variant_announces_what_rank_1_needs():
    leader = start_server([], {"NIM_NODE_MANAGER_PORT": "20001", "REHEARSAL_ADDRESS": "192.168.1.10"})
    assert leader.rank == 0
    assert leader.announce == (
        "start worker node with NIM_PRIMARY_NODE=192.168.1.10 NIM_NODE_MANAGER_PORT=20001"
    )


def without(environment, *names):
    return {name: value for name, value in environment.items() if name not in names}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (without(NIM1, "NIM_MULTI_NODE"), "NIM_MULTI_NODE is not 1"),
        (without(NIM1, "NIM_NODE_RANK"), "NIM_NODE_RANK is not set"),
        (without(NIM1, "NIM_LEADER_ROLE"), "NIM_LEADER_ROLE is not set"),
        (without(NIM1, "NIM_LEADER_IP_ADDRESS", "MASTER_ADDR"), "NIM_LEADER_IP_ADDRESS is not set"),
        (without(NIM1, "NIM_NUM_COMPUTE_NODES"), "NIM_NUM_COMPUTE_NODES is not set"),
        (without(NIM1, "NIM_TENSOR_PARALLEL_SIZE"), "NIM_TENSOR_PARALLEL_SIZE is not set"),
        (without(NIM1, "NIM_USE_SGLANG"), "over MPI"),
        ({**NIM1, "NIM_NODE_RANK": ""}, "NIM_NODE_RANK is empty"),
        ({**NIM1, "NIM_NODE_RANK": "2"}, "not a whole number between 0 and 1"),
        ({**NIM1, "NIM_NODE_RANK": "0"}, "contradict each other"),
        ({**NIM1, "MASTER_ADDR": "10.0.0.2"}, "MASTER_ADDR='10.0.0.2' is not"),
        ({**NIM1, "NIM_MODEL_NAME": "deepseek-ai/deepseek-r1"}, "is not a path"),
        ({**NIM1, "NIM_MODEL_NAME": "/no/such/folder"}, "no such folder"),
        ({**NIM1, "NIM_CACHE_PATH": "/no/such/folder"}, "no such folder"),
        ({**NIM1, "NIM_MODEL_PROFILE": "sglang-h100-bf16-tp4-pp2"}, "contradicts NIM_MODEL_PROFILE"),
        ({**NIM1, "NIM_SSL_MODE": "TLS"}, "plain HTTP only"),
        (without(ARTICLE, "NIM_MASTER_PORT"), "NIM_MASTER_PORT is not set"),
        (without(ARTICLE, "NIM_MODEL_NAME"), "NIM_MODEL_NAME is not set"),
        ({**ARTICLE, "NIM_NUM_NODES": "two"}, "NIM_NUM_NODES='two'"),
        (without(VARIANT, "NIM_NODE_MANAGER_PORT"), "NIM_NODE_MANAGER_PORT is not set"),
        ({**VARIANT, "NIM_PRIMARY_NODE": ""}, "NIM_PRIMARY_NODE is empty"),
        ({**VARIANT, "NIM_NUM_COMPUTE_NODES": "4"}, "for two nodes"),
        (without(NATIVE, "REHEARSAL_RANK"), "REHEARSAL_RANK is not set"),
        (without(NATIVE, "REHEARSAL_LEADER"), "REHEARSAL_LEADER is not set"),
        ({**NATIVE, "REHEARSAL_LAYERS": "none", "REHEARSAL_TOKEN_SECONDS": "-1"}, "REHEARSAL_LAYERS='none'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_environment_is_named(environment, message):
    with pytest.raises(LaunchError, match=message) as caught:
        start_server([], environment)
    assert caught.value.exit_code == 1


def test_every_fault_is_told_at_once():
    with pytest.raises(LaunchError) as caught:
        start_server([], {**NATIVE, "REHEARSAL_RANK": "7", "REHEARSAL_LEADER": "", "REHEARSAL_PORT": "0"})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([*VLLM, "--tensor-paralel-size", "8"], "unrecognized arguments: --tensor-paralel-size 8", 2),
        ([*VLLM, "--nnodes", "many"], "argument --nnodes/-n", 2),
        (["chat", *VLLM[1:]], "expected the command serve", 2),
        ([*VLLM, "--api-server-count", "2"], "--api-server-count=2 cannot be used with --headless", 1),
        ([*VLLM, "--node-rank", "2"], "must be less than nnodes", 1),
        ([*VLLM, "--node-rank", "0"], "nobody would serve", 1),
        ([word for word in VLLM if word != "--headless"], "needs --headless", 1),
        ([*VLLM, "--distributed-executor-backend", "ray"], "nnodes > 1", 1),
        (["serve"], "needs a model", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vllm_rejects(arguments, message, code):
    with pytest.raises(LaunchError, match=message) as caught:
        vllm.read(arguments, {})
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([*SGLANG, "--pipeline", "2"], "unrecognized arguments", 2),
        (SGLANG[2:], "the following arguments are required: --model-path", 2),
        ([*SGLANG, "--dist-init-addr", "10.0.0.1"], "is not host:port", 1),
        ([*SGLANG, "--tp-size", "15"], "must be divisible by number of nodes", 1),
        (
            [word for word in SGLANG if not word.startswith(("--dist", "10."))],
            "--dist-init-addr is not given",
            1,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sglang_rejects(arguments, message, code):
    with pytest.raises(LaunchError, match=message) as caught:
        sglang.read(arguments, {})
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("arguments", "environment", "message", "code"),
    [
        ([], RAY, "--head --head-address is required", 2),
        ([*HEAD, "--head-address", "10.0.0.1:6379"], RAY, "not both", 2),
        (["--head-address", "10.0.0.1:port"], RAY, "is not host:port", 1),
        (HEAD, {**RAY, "NIM_JSONL_LOGGING": "1"}, "JSON logging must be off", 1),
        (["--head-address", "10.0.0.1"], {"NIM_JSONL_LOGGING": "1"}, "JSON logging must be off", 1),
        (
            HEAD,
            {**RAY, "NIM_TENSOR_PARALLEL_SIZE": "1", "NIM_PIPELINE_PARALLEL_SIZE": "1"},
            "without work",
            1,
        ),
        (HEAD, {**RAY, "NIM_MODEL_PATH": "deepseek-r1"}, "is not a path", 1),
        (["--head", "--ray-port", "1"], RAY, "unrecognized arguments", 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nim_serve_ray_rejects(arguments, environment, message, code):
    with pytest.raises(LaunchError, match=message) as caught:
        nim2_ray.read(arguments, environment)
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda extra: start_server([], {**NIM1, **extra}), "NIM_NODE_RNAK"),
        (lambda extra: start_server([], {**NIM1, **extra}), "NIM_MASTER_ADDR"),
        (lambda extra: start_server([], {**ARTICLE, **extra}), "NIM_LEADER_IP"),
        (lambda extra: start_server([], {**NATIVE, **extra}), "REHEARSAL_RNAK"),
        (lambda extra: nim2_ray.read(HEAD, {**RAY, **extra}), "NIM_RAY_PORT"),
        (lambda extra: vllm.read(VLLM, extra), "VLLM_NODE_RANK"),
    ],
)
def test_unknown_variables_are_ignored_with_a_warning(read, name):
    warnings = read({name: "1"}).warnings
    assert [warning for warning in warnings if warning.startswith(name) and "ignored" in warning]


def test_ipv6_addresses(tmp_path):
    assert start_server(
        [], {**NIM1, "NIM_LEADER_IP_ADDRESS": "fd00::1", "MASTER_ADDR": "fd00::1"}
    ).leader == ("fd00::1")
    assert sglang.read([*SGLANG, "--dist-init-addr", "[fd00::1]:20000"], {}).leader == "fd00::1"
    assert nim2_ray.read(["--head-address", "[fd00::1]:6379"], {}).leader == "fd00::1"
    with pytest.raises(ValueError, match="in brackets"):
        split_host_port("fd00::1:6379")


def test_a_name_instead_of_an_address_is_remarked():
    launch = start_server([], {**NATIVE, "REHEARSAL_LEADER": "node1"})
    assert "must resolve on every node" in launch.warnings[0]
    with pytest.raises(LaunchError, match="is no address"):
        start_server([], {**NATIVE, "REHEARSAL_LEADER": "node1:29600"})


def test_vllm_names_for_tunables():
    launch = vllm.read(
        VLLM,
        {
            "VLLM_PP_LAYER_PARTITION": "5,3",
            "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "20",
            "VLLM_HOST_IP": "10.0.0.2",
        },
    )
    assert launch.settings.share == "5,3"
    assert launch.settings.execute_timeout_seconds == 20
    assert launch.address == "10.0.0.2"
