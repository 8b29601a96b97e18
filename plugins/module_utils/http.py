"""Asking a rank over HTTP, with the standard library alone and never through a proxy."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any


def url_of(address: str, port: int, path: str) -> str:
    """A URL; IPv6 addresses get their brackets."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{path}"


def ask(url: str, timeout: float, body: Any = None) -> tuple[int, str]:
    """Status and text of an answer; status 0 and the reason where there was none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - made by url_of, which writes http: alone
        url, data=data, headers={"Content-Type": "application/json"} if data else {}
    )
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(getattr(error, "reason", "") or error) or type(error).__name__
