"""What all NIM images share: the variables they know, the served name, ports, the model cache."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from ..launch import Dialect
from ..settings import Settings
from .variables import Variables

DIALECT = Dialect(live=("/v1/health/live",), ready=("/v1/health/ready",), metrics=("/v1/metrics", "/metrics"))

# Documented for LLM NIM 1.x and 2.x alike, and what deployments of either set.
_NAMES = """
CACHE_PATH CACHE_PROBE_TIMEOUT CORS_ALLOW_CREDENTIALS CORS_ALLOW_HEADERS CORS_ALLOW_METHODS
CORS_ALLOW_ORIGINS CORS_EXPOSE_HEADERS CORS_MAX_AGE CUSTOM_GUIDED_DECODING_BACKENDS CUSTOM_MODEL_NAME
DISABLE_CUDA_GRAPH DISABLE_MODEL_DOWNLOAD DRAFT_MODEL_PATH ENABLE_KV_CACHE_HOST_OFFLOAD
ENABLE_KV_CACHE_REUSE ENABLE_OTEL FT_MODEL GPU_MEM_FRACTION GUIDED_DECODING_BACKEND HEALTH_PORT
HTTP_API_PORT JSONL_LOGGING KVCACHE_PERCENT KV_CACHE_PERCENT LOG_LEVEL LOW_MEMORY_MODE
MANIFEST_ALLOW_UNSAFE MANIFEST_DOWNLOAD_MAX_RETRY_COUNT MANIFEST_DOWNLOAD_WAIT_INTERVAL_MS MAX_MODEL_LEN
MIDDLEWARE_CONFIG_PATH MODEL_NAME MODEL_PATH MODEL_PROFILE NGINX_DIR NUM_KV_CACHE_SEQ_LENS
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_METRICS_EXPORTER OTEL_SERVICE_NAME OTEL_TRACES_EXPORTER PASSTHROUGH_ARGS
PEFT_REFRESH_INTERVAL PEFT_SOURCE PIPELINE_PARALLEL_SIZE RELAX_MEM_CONSTRAINTS REPOSITORY_OVERRIDE
SDK_USE_NATIVE_TLS SERVED_MODEL_NAME SERVER_PORT SSL_CA_CERTS_PATH SSL_CERTS_PATH SSL_CERT_PATH
SSL_KEY_PATH SSL_MODE TENSOR_PARALLEL_SIZE TOKENIZER_MODE TRUST_CUSTOM_CODE USE_API_TRANSPORT USE_SGLANG
"""
KNOWN = frozenset(f"NIM_{name}" for name in _NAMES.split())
RANK_1 = frozenset(
    f"NIM_{name}"
    for name in ("MULTI_NODE", "LEADER_ROLE", "NODE_RANK", "NUM_COMPUTE_NODES", "LEADER_IP_ADDRESS")
)

_CACHE = "/opt/nim/.cache"


def served_names(variables: Variables, model: str) -> tuple[str, ...]:
    """The names in /v1/models: several with commas between them."""
    return tuple(
        name.strip() for name in variables.text("NIM_SERVED_MODEL_NAME", model).split(",") if name.strip()
    )


def api_port(variables: Variables) -> int:
    """Where rank 0 serves."""
    return variables.port("NIM_SERVER_PORT", variables.port("NIM_HTTP_API_PORT", 8000))


def settings(variables: Variables) -> Settings:
    """The engine's tunables, with what NIM itself has a variable for."""
    tls = variables.text("NIM_SSL_MODE", "DISABLED").upper()
    if tls != "DISABLED":
        variables.problems.append(f"NIM_SSL_MODE={tls}: the rehearsal engine serves plain HTTP only")
    if variables.has("NIM_PASSTHROUGH_ARGS"):
        variables.warnings.append("NIM_PASSTHROUGH_ARGS is not rehearsed and is ignored")
    tunables = Settings.read(variables.environment)
    length = variables.number("NIM_MAX_MODEL_LEN", 1, 10**8, tunables.max_model_len)
    return replace(tunables, max_model_len=length)


def log_level(variables: Variables) -> str:
    """The level of the log; unknown words mean INFO."""
    level = variables.text("NIM_LOG_LEVEL", "INFO").upper()
    return {"DEFAULT": "INFO", "TRACE": "DEBUG", "WARN": "WARNING"}.get(level, level)


def weights_folder(variables: Variables, name: str, *, remote: tuple[str, ...] = ()) -> str:
    """Where the weights are: a folder in the container, or with one of the ``remote`` schemes elsewhere."""
    path = variables.text(name)
    if not path or path.startswith(remote or ("\0",)):
        return path
    if not path.startswith("/"):
        variables.problems.append(
            f"{name}={path!r} is not a path: this image takes it as the folder of the weights, not as "
            "the name of a model; leave it out, or name the folder"
        )
    elif not Path(path).is_dir():
        variables.problems.append(f"{name}={path!r}: there is no such folder in this container")
    return path


def check_cache(variables: Variables) -> None:
    """The cache must be writable for the user of the container, or the download of the weights fails."""
    folder = variables.text("NIM_CACHE_PATH", _CACHE)
    if not Path(folder).is_dir():
        if variables.has("NIM_CACHE_PATH"):
            variables.problems.append(f"NIM_CACHE_PATH={folder!r}: there is no such folder in this container")
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        text = (
            f"the model cache {folder} cannot be written by uid {os.getuid()}: "
            f"{error.strerror} (os error {error.errno})"
        )
        if error.errno == errno.EROFS:
            variables.warnings.append(text)
        else:
            variables.problems.append(f"{text}; its owner must be uid {os.getuid()}")
