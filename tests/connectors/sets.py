"""Small sets of recordings, written to a folder as a person would write them."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LLMDRIFT = Path(__file__).parents[3] / "shared" / "data" / "recordings" / "llmdrift"
BFCL = LLMDRIFT.parent / "bfcl"

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = [{"role": "user", "content": "Is it raining in Ghent?"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def write_set(
    folder: Path,
    *,
    prompts: Iterable[Mapping[str, Any]] = (),
    outputs: Iterable[Mapping[str, Any]] = (),
    behaviour: Mapping[str, Any] | None = None,
    zipped: bool = False,
) -> Path:
    """Write one set; each prompt gets the id ``p0``, ``p1``, ... unless it names one."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"prompt_id": f"p{place}", **prompt} for place, prompt in enumerate(prompts)]
    for name, lines in (("prompts", rows), ("outputs", list(outputs))):
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        path = folder / f"{name}.jsonl{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(text) if zipped else text)
    if behaviour is not None:
        (folder / "behaviour.json").write_text(json.dumps(behaviour))
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of one gzipped file."""
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]
