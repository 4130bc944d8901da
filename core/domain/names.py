"""What a name may look like, and which known name somebody probably meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from core.errors import InvalidInput

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@/+-]{0,126}[A-Za-z0-9])?")


def checked_slug(kind: str, name: str) -> str:
    """``name`` if it is fit for an alias, person, caller or provider: lower case, digits, ``. _ -``, at most 64."""
    if not _SLUG.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of {kind}: use 1 to 64 lower-case letters, digits, '.', '_' or '-', "
            "starting and ending with a letter or digit."
        )
    return name


def checked_name(kind: str, name: str) -> str:
    """``name`` if it is fit for a version or prompt version: as a slug, also capitals and ``: @ / +``, at most 128."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of {kind}: use 1 to 128 letters, digits or '._:@/+-', "
            "starting and ending with a letter or digit."
        )
    return name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that resembles ``name`` most, or None when none does."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def no_such(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not there, with the closest one that is."""
    close = nearest(name, known)
    return f"There is no {kind} {name!r}." + (f" Closest: {close}." if close else "")
