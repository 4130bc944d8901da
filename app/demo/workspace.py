"""What the demo is made of, as it lies in data/demo: the company's workspace, requests, and recorded answers."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo"
RECORDINGS = DEMO / "recordings"

PASSWORD = "demo"  # no secret: everybody is told it, and it works on loopback only
KEY = "pk-demo"
PEOPLE = {"viewer": "viewer", "oncall": "operator", "approver": "approver", "admin": "admin"}
"""Who can sign in to the demo, and their roles."""

HISTORY = "demo-history"
"""The replica that invented traffic is put down under, so that it cannot be taken for traffic that was."""


@lru_cache(maxsize=1)
def workspace() -> dict[str, Any]:
    """The company: its registry, the history of its aliases, its callers and how much they send."""
    found: dict[str, Any] = json.loads((DEMO / "workspace.json").read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=1)
def requests() -> dict[str, list[dict[str, Any]]]:
    """What the callers send, as bodies of chat completions, by alias."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (DEMO / "requests.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["alias"], []).append(row["body"])
    return found


def key_of(caller: str) -> str:
    """The key that a caller of the demo calls with."""
    return f"pk-demo-{caller}"
