"""Applications that call the gateway without pause, by the real OpenAI client, and remember every answer."""

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai

PATIENCE_S = 120


@dataclass(frozen=True)
class Question:
    """A prompt of the recordings, as an application would ask it."""

    prompt_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request and what came of it. Times are seconds since the epoch."""

    question: str
    streamed: bool
    sent_at: float
    answered_at: float
    version: str
    revision: int
    content: str
    failure: str | None = None


class Callers:
    """Callers that go through ``questions`` again and again, alternately plain and streamed, over all gateways."""

    def __init__(
        self, gateways: Sequence[str], key: str, alias: str, questions: Sequence[Question], *, workers: int = 4
    ) -> None:
        self._clients = [openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for url in gateways]
        self._alias = alias
        self._questions = questions
        self._next = itertools.count()
        self._stopping = threading.Event()
        self._workers = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(workers)]
        self.asked: list[Asked] = []  # appending is atomic

    @contextmanager
    def calling(self) -> Iterator["Callers"]:
        """Call while the block runs; every answer begun is waited for at its end."""
        for worker in self._workers:
            worker.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for worker in self._workers:
                worker.join(PATIENCE_S)
            for client in self._clients:
                client.close()

    def one_round(self) -> tuple[Asked, ...]:
        """Wait until every question was asked once more from now on, and answer those requests."""
        since, deadline = time.time(), time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            fresh = {asked.question: asked for asked in reversed(self.asked) if asked.sent_at >= since}
            if len(fresh) == len(self._questions):
                return tuple(fresh.values())
            time.sleep(0.1)
        raise AssertionError(f"Not every question was answered within {PATIENCE_S} s")

    def _work(self, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        while not self._stopping.is_set():
            turn = next(self._next)
            question = self._questions[turn % len(self._questions)]
            self.asked.append(self._ask(client, question, streamed=(turn // len(self._questions) + turn) % 2 == 1))

    def _ask(self, client: openai.OpenAI, question: Question, *, streamed: bool) -> Asked:
        sent_at = time.time()
        version, revision, content, failure = "", 0, "", None
        try:
            raw = client.chat.completions.with_raw_response.create(
                **{**question.body, "model": self._alias, "stream": streamed}
            )
            version = raw.headers["x-pinrail-version"]
            revision = int(raw.headers["x-pinrail-revision"])
            content = _content(raw.parse(), streamed=streamed)
        except openai.OpenAIError as fault:
            failure = f"{type(fault).__name__}: {fault}"
        return Asked(question.prompt_id, streamed, sent_at, time.time(), version, revision, content, failure)


def _content(answer: Any, *, streamed: bool) -> str:
    if not streamed:
        return str(answer.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
