"""`python3 -m sglang.launch_server` over several nodes, as SGLang's documentation has it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..launch import Dialect, Launch
from ..net import split_host_port
from ..settings import Settings
from .arguments import Parser, number
from .variables import Variables

_VALUES = """
--attention-backend --base-gpu-id --chat-template --chunked-prefill-size --completion-template --config
--constrained-json-whitespace-pattern --context-length --cpu-offload-gb --cuda-graph-bs --cuda-graph-max-bs
--data-parallel-size|--dp-size|--dp --decode-attention-backend --deepep-mode --device
--disaggregation-bootstrap-port --disaggregation-ib-device --disaggregation-mode
--disaggregation-transfer-backend --download-dir --dtype --ep-num-redundant-experts
--expert-parallel-size|--ep-size|--ep --fastapi-root-path --file-storage-path --gpu-id-step
--grammar-backend --init-expert-location --json-model-override-args --kv-cache-dtype --load-balance-method
--load-format --log-level --log-level-http --lora-paths --max-loras-per-batch --max-prefill-tokens
--max-running-requests --max-total-tokens --mem-fraction-static --mm-attention-backend --moe-a2a-backend
--moe-dense-tp-size --moe-runner-backend --nccl-port --num-continuous-decode-steps --page-size
--prefill-attention-backend --preferred-sampling-params --quantization --quantization-param-path
--random-seed --reasoning-parser --revision --sampling-backend --schedule-conservativeness --schedule-policy
--speculative-algorithm --speculative-draft-model-path --speculative-eagle-topk
--speculative-num-draft-tokens --speculative-num-steps --stream-interval --tokenizer-mode --tokenizer-path
--tool-call-parser --torch-compile-max-bs --watchdog-timeout --weight-version
"""
_SWITCHES = """
--allow-auto-truncate --disable-chunked-prefix-cache --disable-cuda-graph --disable-cuda-graph-padding
--disable-custom-all-reduce --disable-outlines-disk-cache --disable-overlap-schedule --disable-radix-cache
--disable-shared-experts-fusion --enable-cache-report --enable-deepep-moe --enable-dp-attention
--enable-dp-lm-head --enable-ep-moe --enable-eplb --enable-flashinfer-allreduce-fusion
--enable-hierarchical-cache --enable-lora --enable-memory-saver --enable-metrics --enable-mixed-chunk
--enable-mscclpp --enable-multimodal --enable-nan-detection --enable-nccl-nvls --enable-p2p-check
--enable-symm-mem --enable-tokenizer-batch-encode --enable-torch-compile --enable-two-batch-overlap
--is-embedding --log-requests --show-time-cost --skip-server-warmup --skip-tokenizer-init --sleep-on-idle
--triton-attention-reduce-in-fp32 --trust-remote-code
"""


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """Read the arguments of the launcher; raises LaunchError, with code 2 for what argparse rejects."""
    options = _parser().parse_args(arguments)
    variables = Variables(environment)
    leader, rendezvous = "127.0.0.1", options.port + 1
    if options.dist_init_addr:
        try:
            leader, rendezvous = split_host_port(options.dist_init_addr)
        except ValueError as error:
            variables.problems.append(f"--dist-init-addr: {error}")
        variables.address("--dist-init-addr", leader)
    elif options.nnodes > 1:
        variables.problems.append("--dist-init-addr is not given: the nodes meet at the address of rank 0")
    variables.problems += _faults(options)
    variables.check()
    settings = Settings.read(environment)
    return Launch(
        contract="sglang",
        dialect=Dialect(
            live=(),
            ready=("/health", "/health_generate"),
            metrics=("/metrics",) if options.enable_metrics else (),
            early=False,
            prefix="sglang:",
        ),
        settings=replace(settings, join_seconds=options.dist_timeout or settings.join_seconds),
        rank=options.node_rank,
        nodes=options.nnodes,
        tensor=options.tp_size,
        pipeline=options.pp_size,
        leader=leader,
        rendezvous_port=rendezvous,
        model=options.model_path,
        served=(options.served_model_name or options.model_path,),
        port=options.port,
        host=options.host,
        address=variables.text("SGLANG_HOST_IP", variables.text("HOST_IP")),
        api_key=options.api_key or "",
        warnings=tuple(variables.warnings),
    )


def _parser() -> Parser:
    parser = Parser("launch_server.py")
    parser.add_argument("--model-path", "--model", required=True)
    parser.add_argument(
        "--tensor-parallel-size", "--tp-size", "--tp", dest="tp_size", type=number(1, 1024), default=1
    )
    parser.add_argument(
        "--pipeline-parallel-size", "--pp-size", dest="pp_size", type=number(1, 1024), default=1
    )
    parser.add_argument("--dist-init-addr", "--nccl-init-addr")
    parser.add_argument("--dist-timeout", type=number(1, 86400))
    parser.add_argument("--nnodes", type=number(1, 1024), default=1)
    parser.add_argument("--node-rank", type=number(0, 1023), default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=number(1, 65535), default=30000)
    parser.add_argument("--served-model-name")
    parser.add_argument("--api-key")
    parser.values(_VALUES)
    parser.switches(_SWITCHES, negatable=False)
    return parser


def _faults(options: Namespace) -> list[str]:
    faults = []
    if options.tp_size * options.pp_size % options.nnodes:
        faults.append("AssertionError: tp_size must be divisible by number of nodes")
    if options.node_rank >= options.nnodes:
        faults.append(
            f"node rank {options.node_rank} must be less than the number of nodes ({options.nnodes})"
        )
    return faults
