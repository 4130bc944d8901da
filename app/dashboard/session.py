"""Who is signed in: asked on every run and again at every write, so a revoked session ends at the next click."""

from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st

from app.dashboard.front.signing import COOKIE
from app.dashboard.installation import installation
from app.dashboard.words import html, plain
from app.wiring import Pinrail
from core.domain.permissions import Actor
from core.errors import NotSignedIn, StoreError
from core.services import access
from core.store.database import Store

SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"

RESUME = "resume"
"""Where it is remembered what somebody was about to do when their session turned out to have ended."""


@dataclass(frozen=True)
class Visit:
    """One run of a page: the installation, the person who looks, and the moment they do."""

    pinrail: Pinrail
    actor: Actor
    now: datetime

    @property
    def store(self) -> Store:
        """The store of the installation."""
        return self.pinrail.store


def secret() -> str | None:
    """The secret of this browser's session: the cookie it connected with."""
    return st.context.cookies.get(COOKIE)


def recognised() -> Visit:
    """The visit of whoever is signed in at this moment; NotSignedIn, or a StoreError when nobody can be looked up."""
    pinrail = installation()
    now = pinrail.now()
    return Visit(pinrail, access.who_is(pinrail.store, secret(), now=now), now)


def visit() -> Visit:
    """As ``recognised``; where that fails, the page says why and how to go on, and ends there."""
    try:
        return recognised()
    except NotSignedIn as refusal:
        _say_signed_out(str(refusal))
        st.stop()
    except StoreError as fault:
        st.error(
            f"{plain(str(fault))} Pinrail tries again when you reload this page. The gateways go on serving the "
            "last revisions they know.",
            title="The store cannot be read",
            icon=":material/cloud_off:",
        )
        st.stop()


def again(earlier: Visit) -> Visit:
    """The visit of a part that refreshes itself. While the store is silent nobody can be looked up, and what is
    shown already may stay; whoever was signed out meanwhile sees nothing more."""
    try:
        return recognised()
    except NotSignedIn as refusal:
        _say_signed_out(str(refusal))
        st.stop()
    except StoreError:
        return replace(earlier, now=earlier.pinrail.now())


def _say_signed_out(because: str) -> None:
    st.html(
        '<section class="pr-gate"><h1>Sign in to Pinrail</h1>'
        f"<p>{html(because)} Nothing was changed. After signing in you are back on this page.</p>"
        f'<p><a class="pr-button" href="{html(sign_in_link())}" target="_self">Sign in</a></p></section>'
    )


def sign_in_link() -> str:
    """The address of the sign-in page, which leads back to what is open now, the dialog that was pressed included."""
    path = urlsplit(st.context.url or "/").path or "/"
    wanted = urlencode({**st.query_params.to_dict(), **st.session_state.get(RESUME, {})})
    return f"{SIGN_IN}?next={quote(f'{path}?{wanted}' if wanted else path, safe='')}"
