"""The questions and answers that a folder of recordings holds, read apart from the product's own loader."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.journeys.calling import Question


@dataclass(frozen=True)
class Book:
    """Recorded questions by id, and the answers of each model to them."""

    questions: tuple[Question, ...]
    answers: dict[tuple[str, str], str]  # (model, prompt id) -> text
    scores: dict[tuple[str, str], float]
    references: dict[str, str]


def opened(folder: Path, *, category: str | None = None) -> Book:
    """The recordings in ``folder``, perhaps of one category only."""
    prompts = {p["prompt_id"]: p for p in _rows(folder, "prompts") if category in (None, p["category"])}
    outputs = [o for o in _rows(folder, "outputs") if o["prompt_id"] in prompts]
    return Book(
        questions=tuple(Question(key, {"messages": p["messages"]}) for key, p in prompts.items()),
        answers={(o["model"], o["prompt_id"]): o["output"] for o in outputs},
        scores={(o["model"], o["prompt_id"]): float(o["score"]) for o in outputs if "score" in o},
        references={key: str(p.get("reference", "")).lower() for key, p in prompts.items()},
    )


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    packed = folder / f"{name}.jsonl.gz"
    if packed.exists():
        with gzip.open(packed, "rt") as lines:
            yield from map(json.loads, lines)
    else:
        with (folder / f"{name}.jsonl").open() as lines:
            yield from map(json.loads, lines)


def says_prime(answer: str) -> str | None:
    """What an answer to "is it prime?" says, by the rule under which the published accuracies come out exactly.

    Lower-case it, take commas and full stops for spaces, and put each token into brackets: a `[yes]` anywhere makes it
    yes, else a `[no]` makes it no, else it says nothing.
    """
    wrapped = " ".join(f"[{token}]" for token in re.sub(r"[,.]", " ", answer.lower()).split())
    if "[yes]" in wrapped:
        return "yes"
    return "no" if "[no]" in wrapped else None
