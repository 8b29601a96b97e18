"""`vllm serve` over several nodes with the `mp` backend, as vLLM's documentation and source have it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import LaunchError
from ..launch import Dialect, Launch
from ..settings import Settings
from .arguments import Parser, number, with_dashes
from .variables import Variables

DIALECT = Dialect(live=("/ping",), ready=("/health",), metrics=("/metrics",), early=False, prefix="vllm:")

_VALUES = """
--allowed-headers --allowed-local-media-path --allowed-methods --allowed-origins --additional-config
--block-size --calculate-kv-scales --chat-template --chat-template-content-format --code-revision
--collect-detailed-traces --compilation-config|-O --config --config-format --convert --cpu-offload-gb
--data-parallel-address|-dpa --data-parallel-backend|-dpb --data-parallel-rank|-dpn
--data-parallel-rpc-port|-dpp --data-parallel-size|-dp --data-parallel-size-local|-dpl
--data-parallel-start-rank|-dpr --decode-context-parallel-size|-dcp --device --download-dir --dtype
--eplb-config --generation-config --gpu-memory-utilization --guided-decoding-backend --h11-max-header-count
--h11-max-incomplete-event-size --hf-config-path --hf-overrides --hf-token --io-processor-plugin
--kv-cache-dtype --kv-cache-memory-bytes --kv-events-config --kv-transfer-config --limit-mm-per-prompt
--load-format --log-config-file --logits-processors --logprobs-mode --long-prefill-token-threshold
--lora-dtype --lora-modules --max-cpu-loras --max-log-len --max-logprobs --max-long-partial-prefills
--max-lora-rank --max-loras --max-num-batched-tokens --max-num-partial-prefills
--max-parallel-loading-workers --middleware --mm-encoder-tp-mode --mm-processor-cache-gb
--mm-processor-kwargs --model-impl --model-loader-extra-config --num-gpu-blocks-override
--otlp-traces-endpoint --override-generation-config --override-pooler-config --pooler-config
--prefill-context-parallel-size|-pcp --prefix-caching-hash-algo --profiler-config --quantization|-q
--reasoning-parser --response-role --revision --root-path --rope-scaling --rope-theta --runner
--scheduler-cls --scheduling-policy --seed --speculative-config --ssl-ca-certs --ssl-cert-reqs
--ssl-certfile --ssl-keyfile --structured-outputs-config --swap-space --task --tokenizer --tokenizer-mode
--tokenizer-revision --tool-call-parser --tool-parser-plugin --uvicorn-log-level --worker-cls
--worker-extension-cls
"""
_SWITCHES = """
--aggregate-engine-logging --allow-credentials --async-scheduling --data-parallel-external-lb
--data-parallel-hybrid-lb --disable-access-log-for-endpoints --disable-cascade-attn
--disable-custom-all-reduce --disable-fastapi-docs --disable-hybrid-kv-cache-manager --disable-log-requests
--disable-log-stats --disable-sliding-window --disable-uvicorn-access-log --enable-auto-tool-choice
--enable-chunked-prefill --enable-dbo --enable-eplb --enable-expert-parallel
--enable-force-include-usage --enable-log-outputs --enable-log-requests --enable-lora
--enable-prefix-caching --enable-prompt-tokens-details --enable-request-id-headers
--enable-server-load-tracking --enable-sleep-mode --enable-tokenizer-info-endpoint --enforce-eager
--exclude-tools-when-tool-choice-none --language-model-only --return-tokens-as-token-ids --skip-mm-profiling
--skip-tokenizer-init --trust-remote-code --trust-request-chat-template --use-tqdm-on-load
"""
_NAMES = """
ALLOW_LONG_MAX_MODEL_LEN API_KEY ATTENTION_BACKEND CACHE_ROOT CONFIGURE_LOGGING CPU_KVCACHE_SPACE
CPU_OMP_THREADS_BIND CPU_SGL_KERNEL DO_NOT_TRACK ENGINE_ITERATION_TIMEOUT_S ENGINE_READY_TIMEOUT_S
EXECUTE_MODEL_TIMEOUT_SECONDS HOST_IP LOGGING_CONFIG_PATH LOGGING_LEVEL LOGGING_PREFIX LOG_STATS_INTERVAL
LOOPBACK_IP NCCL_SO_PATH NO_USAGE_STATS PORT PP_LAYER_PARTITION RPC_BASE_PATH RPC_TIMEOUT SERVER_DEV_MODE
SKIP_P2P_CHECK TARGET_DEVICE TORCH_PROFILER_DIR TRACE_FUNCTION USAGE_SOURCE USE_DEEP_GEMM
USE_FLASHINFER_SAMPLER USE_MODELSCOPE USE_V1 WORKER_MULTIPROC_METHOD
"""
_VARIABLES = frozenset(f"VLLM_{name}" for name in _NAMES.split())


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """Read what follows `vllm`; raises LaunchError, with exit code 2 for what argparse rejects."""
    if not arguments or arguments[0] != "serve":
        raise LaunchError(
            [f"vllm: error: expected the command serve, got {list(arguments[:1])}"], exit_code=2
        )
    options = _parser().parse_args(with_dashes(arguments[1:]))
    variables = Variables(environment)
    variables.unknown("VLLM_", _VARIABLES, "an unknown vLLM environment variable")
    variables.problems += _faults(options)
    variables.check()
    settings = _settings(options, variables)
    model = options.model_tag or options.model
    leader = variables.address("--master-addr", options.master_addr)
    variables.check()
    return Launch(
        contract="vllm",
        dialect=DIALECT,
        settings=settings,
        rank=options.node_rank,
        nodes=options.nnodes,
        tensor=options.tensor_parallel_size,
        pipeline=options.pipeline_parallel_size,
        leader=leader,
        rendezvous_port=options.master_port,
        model=model,
        served=tuple(options.served_model_name or (model,)),
        port=options.port,
        host=options.host or "",
        address=variables.text("VLLM_HOST_IP"),
        api_key=options.api_key or variables.text("VLLM_API_KEY"),
        log_level=variables.text("VLLM_LOGGING_LEVEL", "INFO"),
        warnings=tuple(variables.warnings),
    )


def _parser() -> Parser:
    parser = Parser("vllm serve")
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--tensor-parallel-size", "-tp", type=number(1, 1024), default=1)
    parser.add_argument("--pipeline-parallel-size", "-pp", type=number(1, 1024), default=1)
    parser.add_argument("--nnodes", "-n", type=number(1, 1024), default=1)
    parser.add_argument("--node-rank", "-r", type=number(0, 1023), default=0)
    parser.add_argument("--master-addr", default="127.0.0.1")
    parser.add_argument("--master-port", type=number(1, 65535), default=29501)
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--api-server-count", "-asc", type=number(0, 64))
    parser.add_argument("--distributed-executor-backend", choices=("mp", "ray", "uni", "external_launcher"))
    parser.add_argument("--distributed-timeout-seconds", type=number(1, 86400))
    parser.add_argument("--max-model-len", type=number(1, 10**8))
    parser.add_argument("--max-num-seqs", type=number(1, 4096))
    parser.add_argument("--host")
    parser.add_argument("--port", type=number(1, 65535), default=8000)
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--api-key")
    parser.values(_VALUES)
    parser.switches(_SWITCHES, negatable=True)
    return parser


def _faults(options: Namespace) -> list[str]:
    """What vLLM raises ValueError for, and what would leave a group that cannot work."""
    faults = []
    if not (options.model_tag or options.model):
        faults.append("vllm serve needs a model")
    if options.headless and options.api_server_count:
        faults.append(
            f"ValueError: --api-server-count={options.api_server_count} cannot be used with --headless "
            "(no API servers are started in headless mode)."
        )
    if options.node_rank >= options.nnodes:
        faults.append(
            f"ValueError: node_rank ({options.node_rank}) must be less than nnodes ({options.nnodes})"
        )
    if options.nnodes > 1:
        if options.distributed_executor_backend == "ray":
            faults.append("ValueError: nnodes > 1 can only be set when distributed executor backend is mp")
        if options.node_rank and not options.headless:
            faults.append(f"node rank {options.node_rank} needs --headless: only rank 0 runs an API server")
    if options.headless and not options.node_rank:
        faults.append("node rank 0 is --headless: nobody would serve the API")
    return faults


def _settings(options: Namespace, variables: Variables) -> Settings:
    """Names of vLLM's own for some of the tunables win over the engine's."""
    settings = Settings.read(variables.environment)
    settings = replace(
        settings,
        share=variables.text("VLLM_PP_LAYER_PARTITION", settings.share),
        max_model_len=options.max_model_len or settings.max_model_len,
        max_seqs=options.max_num_seqs or settings.max_seqs,
        join_seconds=options.distributed_timeout_seconds or settings.join_seconds,
    )
    timeout = variables.number("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", 1, 10**6, 0)
    return replace(settings, execute_timeout_seconds=float(timeout)) if timeout else settings
