"""Where a request comes from and where it may be sent next: the two questions that keep other sites out."""

import re
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers

MAX_NEXT = 2000
HOME = "/"
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\\]")


def is_own(headers: Headers, public_url: str | None) -> bool:
    """Was this asked by one of our own pages? Without an Origin header it was no other site's script or form.

    A port makes another origin: whatever else runs on this machine is another site.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    allowed = {headers.get("host", "").lower()}
    if public_url:
        allowed.add(urlsplit(public_url).netloc.lower())
    return urlsplit(origin).netloc.lower() in allowed - {""}


def safe_next(wanted: str | None) -> str:
    """The page to show after signing in: a path of ours with its query, or the first page for anything else.

    Browsers read `\\` as `/` and drop control characters, and `//` begins another site's address.
    """
    if not wanted or len(wanted) > MAX_NEXT or not wanted.startswith("/") or _UNSEEN.search(wanted):
        return HOME
    path, _, query = wanted.partition("?")
    if "//" in path or path.startswith(("/sign-in", "/sign-out", "/api/", "/_stcore/")):
        return HOME
    # What is no ASCII is spelt so that it fits a header; what is spelt already stays as it is.
    spelt = quote(path, safe="/%:@!$&'()*+,;=~-._")
    return f"{spelt}?{quote(query, safe='/%:@!$&*+,;=~-._?()')}" if query else spelt


def asked_page(path: str, query: bytes) -> str:
    """The page a request asked for, to come back to."""
    spelt = quote(path, safe="/:@!$&'()*+,;=~-._")
    return safe_next(f"{spelt}?{query.decode('latin-1')}" if query else spelt)
