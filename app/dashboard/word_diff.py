"""Two texts as one, word by word: what was taken out as <del>, what was put in as <ins>, by mark and not by colour.

Lines are matched first and words only within lines that differ, so that a long prompt costs little.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from app.dashboard.words import html

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_WORD = re.compile(r"\w+")
MOST_WORDS = 3000
"""Words of one changed passage that are compared; a longer one is shown as taken out and put in as a whole."""


@dataclass(frozen=True)
class Piece:
    """A passage that both texts have (``same``), or one that was taken out (``del``) or put in (``ins``)."""

    kind: str
    text: str


def compared(before: str, after: str) -> list[Piece]:
    """The pieces of which ``before`` consists without the ``ins``, and ``after`` without the ``del``."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(Piece("same", "".join(old[i1:i2])))
        else:
            found.extend(_by_word("".join(old[i1:i2]), "".join(new[j1:j2])))
    return list(_joined(found))


def _by_word(before: str, after: str) -> Iterator[Piece]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > MOST_WORDS:
        yield Piece("del", before)
        yield Piece("ins", after)
        return
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(old[i1:i2]))
            continue
        yield Piece("del", "".join(old[i1:i2]))
        yield Piece("ins", "".join(new[j1:j2]))


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Changes with next to nothing between them as one: an "and" that both texts happen to have helps nobody."""
    taken, put = "", ""
    for place, piece in enumerate(pieces):
        if piece.kind == "same" and not _is_bridged(piece, taken + put, last=place + 1 == len(pieces)):
            yield from _change(taken, put)
            taken = put = ""
            yield piece
            continue
        taken += piece.text if piece.kind != "ins" else ""
        put += piece.text if piece.kind != "del" else ""
    yield from _change(taken, put)


def _is_bridged(piece: Piece, changed: str, *, last: bool) -> bool:
    """At most two words, after a change that is longer than they are, and before another change."""
    words = len(_WORD.findall(piece.text))
    return bool(changed) and not last and words <= 2 and len(changed) > len(piece.text)


def _change(taken: str, put: str) -> Iterator[Piece]:
    if taken:
        yield Piece("del", taken)
    if put:
        yield Piece("ins", put)


def drawn(before: str, after: str) -> str:
    """The comparison as HTML. The style sheet sets a sign before each change; a word says it to who cannot see it."""
    said = {"ins": "put in: ", "del": "taken out: "}
    parts = (
        html(piece.text)
        if piece.kind == "same"
        else f'<{piece.kind}><span class="pr-hidden">{said[piece.kind]}</span>{html(_seen(piece.text))}</{piece.kind}>'
        for piece in compared(before, after)
    )
    return f'<div class="pr-prompt pr-diff">{"".join(parts)}</div>'


def _seen(text: str) -> str:
    """Blanks alone cannot be seen, so they are given signs."""
    return text if text.strip() else text.replace(" ", "␣").replace("\n", "↵\n")
