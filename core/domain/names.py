"""What a name may look like, and which known name somebody probably meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from core.errors import InvalidInput

LONGEST = 128
"""No name is longer than this many characters."""

SLUG_PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._:@/+-]{0,126}[A-Za-z0-9])?"
_SLUG = re.compile(SLUG_PATTERN)
_NAME = re.compile(NAME_PATTERN)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_slug(name: str) -> bool:
    """Could ``name`` be the name of an alias, person, caller or provider at all?"""
    return bool(_SLUG.fullmatch(name))


def checked_slug(kind: str, name: str) -> str:
    """``name`` if it is fit for an alias, person, caller or provider: lower case, digits, ``. _ -``, at most 64."""
    if not is_slug(name):
        raise InvalidInput(
            f"{name[:LONGEST]!r} cannot be the name of {kind}: use 1 to 64 lower-case letters, digits or '._-', "
            "starting and ending with a letter or digit."
        )
    return name


def checked_name(kind: str, name: str) -> str:
    """``name`` if it is fit for a version or prompt version: as a slug, also capitals and ``: @ / +``, at most 128."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:LONGEST]!r} cannot be the name of {kind}: use 1 to 128 letters, digits or '._:@/+-', "
            "starting and ending with a letter or digit."
        )
    return name


def checked_text(what: str, text: str, *, most: int, least: int = 0) -> str:
    """``text`` if it can be kept: ``least`` to ``most`` characters, all of which both stores can hold."""
    if not least <= len(text) <= most:
        raise InvalidInput(f"{what} has {least} to {most} characters, not {len(text)}.")
    if not is_storable(text):
        raise InvalidInput(f"{what} holds a character that cannot be stored: NUL, or half of a surrogate pair.")
    return text


def is_storable(text: str) -> bool:
    """Free of NUL, which PostgreSQL refuses, and of lone surrogates, which are no text in UTF-8."""
    return not _UNSTORABLE.search(text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that resembles ``name`` most, or None when none does."""
    if len(name) > LONGEST:  # no name is that long, and comparing would take its time
        return None
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def no_such(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not there, with the closest one that is."""
    close = nearest(name, known)
    shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
    return f"There is no {kind} {shown!r}." + (f" Closest: {close}." if close else "")
