"""What the gateway adds to a request: latency, CPU and throughput, beside nginx answering directly.

The upstream is nginx with a fixed 600-byte answer, the load is wrk, so that neither is the bottleneck. The same
load goes to nginx directly and through the gateway, in turns in one run.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import cpu_seconds, needs, scratch
from tests.benchmarks.store_for_benchmarks import ALIAS, KEY, prepared
from tests.benchmarks.table import drawn
from tests.parts import free_port, gateway, running

SECONDS = 6
ROUNDS = 3
CONNECTIONS = (1, 16, 64)

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "old-2026-01-01",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "x" * 330}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100},
    }
)
QUESTION = json.dumps({"model": ALIAS, "messages": [{"role": "user", "content": "How long is a piece of string?"}]})


def run() -> dict[str, Any]:
    """Measure, and answer the figures by number of connections."""
    nginx, wrk = needs("nginx"), needs("wrk")
    with scratch() as folder, _upstream(nginx, folder) as upstream:
        url = f"sqlite:///{folder / 'bench.db'}"
        prepared(url, f"{upstream}/v1").close()
        script = _script(folder)
        with gateway(url, folder, "gateway-1") as served:
            pid, through = served.pid, served.url
            _load(wrk, script, through, 16, seconds=2)  # warm
            figures = [_compared(wrk, script, upstream, through, pid, count) for count in CONNECTIONS]
    return {"what": __doc__, "rows": figures}


def _compared(wrk: str, script: Path, bare: str, through: str, pid: int, connections: int) -> dict[str, Any]:
    """The median round of each path; rounds alternate so that both see the same machine."""
    direct, passed = [], []
    for _ in range(ROUNDS):
        direct.append(_load(wrk, script, bare, connections))
        before = cpu_seconds(pid)
        figures = _load(wrk, script, through, connections)
        figures["cpu_us"] = (cpu_seconds(pid) - before) * 1e6 / figures["requests"]
        passed.append(figures)
    bare_one, through_one = _median(direct), _median(passed)
    return {
        "connections": connections,
        "bare_p50_ms": bare_one["p50_ms"],
        "bare_p99_ms": bare_one["p99_ms"],
        "gateway_p50_ms": through_one["p50_ms"],
        "gateway_p99_ms": through_one["p99_ms"],
        "added_p50_ms": through_one["p50_ms"] - bare_one["p50_ms"],
        "added_p99_ms": through_one["p99_ms"] - bare_one["p99_ms"],
        "cpu_us_per_request": through_one["cpu_us"],
        "gateway_rps": through_one["rps"],
        "bare_rps": bare_one["rps"],
        "bare_over_gateway": bare_one["rps"] / through_one["rps"],
        "not_200": sum(r["bad"] for r in passed + direct),
    }


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(rounds, key=lambda figures: figures["p50_ms"])[len(rounds) // 2]


def _load(wrk: str, script: Path, url: str, connections: int, *, seconds: int = SECONDS) -> dict[str, Any]:
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    said = subprocess.run(
        [*command, f"{url}/v1/chat/completions"], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    found = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+)", said.stdout)
    if found is None:
        raise RuntimeError(f"wrk said something else:\n{said.stdout}")
    requests, duration_us, p50_us, p99_us, bad = (int(figure) for figure in found.groups())
    return {
        "requests": requests,
        "rps": requests / (duration_us / 1e6),
        "p50_ms": p50_us / 1000,
        "p99_ms": p99_us / 1000,
        "bad": bad,
    }


def _script(folder: Path) -> Path:
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        f"wrk.body = {json.dumps(QUESTION)}\n"
        'wrk.headers["Content-Type"] = "application/json"\n'
        f'wrk.headers["Authorization"] = "Bearer {KEY}"\n'
        "function done(summary, latency)\n"
        "  local e = summary.errors\n"
        "  local bad = e.status + e.connect + e.read + e.write + e.timeout\n"
        '  print(string.format("FIGURES %d %d %d %d %d", summary.requests, summary.duration,\n'
        "    latency:percentile(50), latency:percentile(99), bad))\n"
        "end\n"
    )
    return script


@contextmanager
def _upstream(nginx: str, folder: Path) -> Iterator[str]:
    """nginx with one fixed answer on the loopback address."""
    port = free_port()
    answer = ANSWER.replace("'", "\\'")
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;\n"
        "events { worker_connections 512; }\n"
        "http { access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k;\n"
        f"  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;\n"
        f"  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  server {{ listen 127.0.0.1:{port}; default_type application/json;\n"
        f"    location / {{ return 200 '{answer}'; }} }} }}\n"
    )
    address = f"http://127.0.0.1:{port}"
    with running([nginx, "-c", str(config)], ready=address, log=folder / "nginx.log"):
        yield address


def shown(result: dict[str, Any]) -> str:
    """The figures as a table."""
    heads = ["connections", "bare p50 ms", "gateway p50 ms", "added p50 ms", "bare p99 ms", "gateway p99 ms"]
    keys = ["connections", "bare_p50_ms", "gateway_p50_ms", "added_p50_ms", "bare_p99_ms", "gateway_p99_ms"]
    heads += ["CPU µs/request", "gateway req/s", "bare req/s", "bare ÷ gateway", "not 200"]
    keys += ["cpu_us_per_request", "gateway_rps", "bare_rps", "bare_over_gateway", "not_200"]
    rows = [[row[key] for key in keys] for row in result["rows"]]
    return drawn("What the gateway adds, beside nginx answering directly", heads, rows)
