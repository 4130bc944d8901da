"""A browser as far as it matters to the front, and a page in the place of Streamlit's."""

import re
from dataclasses import dataclass
from html import unescape

import requests
from starlette.types import Receive, Scope, Send

from tests.api.world import PASSWORD


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """In the place of Streamlit: names the page it was asked for, and takes sockets."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "welcome"})
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": f"page {scope['path']}".encode()})


@dataclass
class Browser:
    """What a browser does with cookies and redirects, as far as it matters here."""

    url: str
    jar: requests.Session

    def open(self, path: str, **more: object) -> requests.Response:
        """GET without following redirects."""
        return self.jar.get(self.url + path, allow_redirects=False, timeout=20, **more)  # type: ignore[arg-type]

    def sign_in(self, name: str = "ann", password: str = PASSWORD, **fields: str) -> requests.Response:
        """Send the form, with the origin that a browser would add."""
        data = {"name": name, "password": password, **fields}
        return self.post("/sign-in", data)

    def post(self, path: str, data: dict[str, str] | None = None, *, origin: str | None = None) -> requests.Response:
        """POST a form from a page of ``origin``, by default our own."""
        headers = {"origin": self.url if origin is None else origin}
        return self.jar.post(self.url + path, data=data, headers=headers, allow_redirects=False, timeout=20)


def text_of(answer: requests.Response) -> str:
    """What the page says, without its style and marks."""
    body = re.sub(r"<style>.*?</style>", "", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
