"""What commands ask of Pinrail, whichever way it is reached: over the API, or directly on the store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from pydantic import ValidationError

from app.api import shapes
from app.api.shapes import Page
from core.errors import InvalidInput

if TYPE_CHECKING:
    from app.settings import Settings
    from app.wiring import Pinrail
    from core.domain.permissions import Actor

Verb = Literal["flip", "rollback", "undo", "hold", "release", "describe", "protect", "retire"]

B = TypeVar("B", bound=shapes.Body)

DATA_DIR: ContextVar[Path | None] = ContextVar("DATA_DIR", default=None)
"""What `pinrail --data DIR …` said, for every command that reads settings."""


class Door(Protocol):
    """All that commands may ask. Refusals are the same PinrailErrors through every door."""

    def whoami(self) -> shapes.ActorView: ...
    def ruling(self, action: str, alias: str | None) -> shapes.RulingView: ...
    def status(self) -> shapes.StatusView: ...

    # -- aliases
    def aliases(self) -> Page[shapes.AliasView]: ...
    def alias(self, name: str) -> shapes.AliasView: ...
    def history(self, name: str) -> Page[shapes.RevisionView]: ...
    def served(self, name: str, at: datetime) -> shapes.RevisionView: ...
    def targets(self, name: str) -> Page[shapes.RollbackTargetView]: ...
    def receipt(self, name: str, revision: int) -> shapes.ReceiptView: ...
    def create_alias(self, body: shapes.CreateAlias, *, key: str) -> shapes.MovedView: ...
    def move(self, verb: Verb, alias: str, body: shapes.Write, *, key: str) -> shapes.MovedView: ...

    # -- the registry
    def providers(self) -> Page[shapes.ProviderView]: ...
    def register_provider(self, body: shapes.RegisterProvider) -> shapes.ProviderView: ...
    def change_provider(self, name: str, body: shapes.ChangeProvider) -> shapes.ProviderView: ...
    def prompts(self) -> Page[shapes.PromptView]: ...
    def prompt(self, name: str) -> shapes.PromptView: ...
    def register_prompt(self, body: shapes.RegisterPrompt) -> shapes.PromptView: ...
    def data_versions(self) -> Page[shapes.DataVersionView]: ...
    def data_version(self, name: str) -> shapes.DataVersionView: ...
    def register_data_version(self, body: shapes.RegisterDataVersion) -> shapes.DataVersionView: ...
    def versions(self) -> Page[shapes.VersionView]: ...
    def version(self, name: str) -> shapes.VersionView: ...
    def register_version(self, body: shapes.RegisterVersion) -> shapes.VersionView: ...
    def note_version(self, name: str, body: shapes.NoteVersion) -> shapes.VersionView: ...
    def issues(self, version: str | None) -> Page[shapes.IssueView]: ...
    def add_issue(self, body: shapes.AddIssue, *, key: str) -> shapes.IssueView: ...
    def resolve_issue(self, issue: int) -> shapes.IssueView: ...

    # -- access
    def callers(self) -> Page[shapes.CallerKeyView]: ...
    def create_caller(self, body: shapes.CreateCallerKey, *, key: str) -> shapes.CallerKeyView: ...
    def revoke_caller(self, key: str) -> shapes.CallerKeyView: ...
    def people(self) -> Page[shapes.PersonView]: ...
    def add_person(self, body: shapes.AddPerson) -> shapes.PersonView: ...
    def disable_person(self, name: str) -> shapes.PersonView: ...
    def enable_person(self, name: str) -> shapes.PersonView: ...
    def grant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView: ...
    def ungrant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView: ...
    def set_password(self, name: str, body: shapes.SetPassword) -> shapes.PersonView: ...
    def sign_out(self, name: str) -> shapes.EndedView: ...
    def tokens(self) -> Page[shapes.TokenView]: ...
    def create_token(self, body: shapes.CreateToken, *, key: str) -> shapes.TokenView: ...
    def revoke_token(self, token: str) -> shapes.TokenView: ...

    # -- the audit log
    def audit(
        self,
        *,
        kind: str | None,
        by: str | None,
        subject: str | None,
        outcome: str | None,
        before: str | None,
        limit: int,
    ) -> Page[shapes.AuditEventView]: ...
    def audit_head(self) -> shapes.AuditHeadView: ...
    def audit_verified(self, expected_head: str | None) -> shapes.AuditHeadView: ...


@contextmanager
def opened_door() -> Iterator[Door]:
    """Over the API when PINRAIL_URL is set, otherwise directly on the store; PINRAIL_TOKEN counts for both."""
    # Each way needs libraries that the other does not: a laptop that asks the API has no use for a database.
    url, token = os.environ.get("PINRAIL_URL"), os.environ.get("PINRAIL_TOKEN") or None
    if url:
        from app.cli.remote_door import RemoteDoor

        with RemoteDoor(url, token) as remote:
            yield remote
    else:
        from app.cli.local_door import open_local_door

        with open_local_door(read_settings(), token) as local:
            yield local


@contextmanager
def on_the_store(command: str, *, as_it_is: bool = False, as_root: bool = False) -> "Iterator[tuple[Pinrail, Actor]]":
    """The store itself and who works on it, for what no API does; InvalidInput when an API is named.

    ``as_it_is``: a schema that does not fit is no reason to refuse, and nothing is brought up to date. ``as_root``: a
    token is not asked for, because that takes a store that answers.
    """
    import getpass

    from app.wiring import open_pinrail, ready_pinrail
    from core.domain.permissions import local
    from core.services.access import actor_for_token

    if os.environ.get("PINRAIL_URL"):
        raise InvalidInput(
            f"`pinrail {command}` works on the store itself: unset PINRAIL_URL, and name the store with "
            "PINRAIL_DATABASE_URL or --data."
        )
    token = None if as_root else os.environ.get("PINRAIL_TOKEN")
    pinrail = (open_pinrail if as_it_is else ready_pinrail)(read_settings())
    try:
        actor = actor_for_token(pinrail.store, token, now=pinrail.now()) if token else local(getpass.getuser())
        yield pinrail, actor
    finally:
        pinrail.store.close()


def read_settings(**given: object) -> "Settings":
    """The settings of this command: its options, then the environment."""
    from app.settings import Settings  # knows databases, which whoever asks the API has no use for

    data_dir = given.pop("data_dir", None) or DATA_DIR.get()
    return Settings.read(data_dir=data_dir, **given)


def asked(body: type[B], **given: object) -> B:
    """What is asked for, checked before it is sent anywhere; InvalidInput names the value that cannot be used."""
    try:
        return body(**given)
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "This"
        raise InvalidInput(f"{name} cannot be used: {first['msg']}.") from fault
