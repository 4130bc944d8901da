"""Plain HTML pages without a script, for the moments when the dashboard itself cannot be shown."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

_HERE = Path(__file__).parent
_CSS = (_HERE / "front.css").read_text(encoding="utf-8")
_FRAME = Template((_HERE / "frame.html").read_text(encoding="utf-8"))
_FORM = Template((_HERE / "sign_in.html").read_text(encoding="utf-8"))

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_CSS.encode()).digest()).decode()}'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """A page with ``body``, which is HTML already."""
    html = _FRAME.substitute(title=escape(title), css=_CSS, body=body)
    headers = {"content-security-policy": POLICY, "cache-control": "no-store"}
    return HTMLResponse(html, status, headers)


def said(text: str, *, kind: str = "note") -> str:
    """One paragraph that stands out: a note, or an error that a screen reader reads at once."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}" id="said">{escape(text)}</p>'


def sentence_page(title: str, text: str, *, status: int) -> HTMLResponse:
    """A page that says one thing and leads home."""
    body = f'<h1>{escape(title)}</h1>{said(text, kind="error")}<p><a href="/">Open Pinrail</a></p>'
    return page(title, body, status=status)


def sign_in_form(
    *, back_to: str, name: str = "", error: str | None = None, note: str | None = None, after: str = ""
) -> str:
    """The sign-in form; ``after`` is HTML that follows it."""
    leads = f"<p>After this you are back at <code>{escape(back_to)}</code></p>" if back_to != "/" else ""
    return _FORM.substitute(
        said=said(error, kind="error") if error else said(note) if note else "",
        leads=leads,
        next=escape(back_to),
        name=escape(name),
        wrong='aria-invalid="true" aria-describedby="said"' if error else "",
        name_focus="" if name else "autofocus",
        password_focus="autofocus" if name else "",
        after=after,
    )


def nobody_yet() -> str:
    """What to do in an installation without accounts."""
    return (
        "<h1>Nobody has an account yet</h1>"
        "<p>Make the first one on the machine that Pinrail runs on, then reload this page:</p>"
        "<pre>pinrail user add NAME --role admin</pre>"
        "<p>It asks for a password. From then on, that person can add others.</p>"
    )


def demo_people(people: list[tuple[str, str]], *, back_to: str) -> str:
    """The well-known people of the demo workspace, each with a button that signs in as them."""
    if not people:
        return ""
    buttons = "".join(
        f'<li><button class="person" name="name" value="{escape(name)}">{escape(name)} '
        f"<span>{escape(does)}</span></button></li>"
        for name, does in people
    )
    return (
        '<section class="demo" aria-labelledby="demo"><h2 id="demo">This is the demo</h2>'
        "<p>These people exist, each with the password <code>demo</code>. Choose one to look around as them.</p>"
        f'<form method="post" action="/sign-in"><input type="hidden" name="next" value="{escape(back_to)}">'
        f'<input type="hidden" name="password" value="demo"><ul>{buttons}</ul></form></section>'
    )


def leave_form() -> str:
    """The question whether to sign out."""
    return (
        "<h1>Sign out of Pinrail?</h1>"
        '<form method="post" action="/sign-out"><button class="main">Sign out</button></form>'
        '<p><a href="/">Stay signed in</a></p>'
    )
