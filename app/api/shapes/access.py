"""People, tokens, caller keys and rulings as they are shown."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from pydantic import Field

from app.api.shapes.common import View
from core.domain.permissions import Actor, Grant, Ruling

if TYPE_CHECKING:  # the command line on a laptop needs the views and no database
    from core.services.access import Person, Token
    from core.services.callers import Key


class GrantView(View):
    """A role everywhere (`alias` is null) or for one alias."""

    role: str
    alias: str | None = None

    @classmethod
    def from_domain(cls, grant: Grant) -> Self:
        """The view of a grant."""
        return cls(role=grant.role.value, alias=grant.alias)


class PersonView(View):
    """An account and what it holds."""

    name: str
    grants: tuple[GrantView, ...]
    added_at: datetime
    disabled_at: datetime | None
    has_password: bool

    @classmethod
    def from_domain(cls, person: "Person") -> Self:
        """The view of an account."""
        held = tuple(GrantView.from_domain(grant) for grant in person.grants)
        return cls(**{**vars(person), "grants": held})


class ActorView(View):
    """Whoever asks: the person, and the token they ask through with what it is limited to."""

    name: str
    kind: str
    grants: tuple[GrantView, ...]
    scope: str | None = Field(description="What the token may be used for at most; null for a person.")
    aliases: tuple[str, ...] | None = Field(description="The only aliases the token is good for; null for all.")
    via: str | None = Field(description="The name of the token.")

    @classmethod
    def from_domain(cls, actor: Actor) -> Self:
        """The view of an actor."""
        return cls(
            name=actor.name,
            kind=actor.kind.value,
            grants=tuple(GrantView.from_domain(grant) for grant in actor.grants),
            scope=actor.scope.name if actor.scope else None,
            aliases=tuple(sorted(actor.aliases)) if actor.aliases is not None else None,
            via=actor.via,
        )


class RulingView(View):
    """Whether an action is allowed, and why."""

    action: str
    alias: str | None
    allowed: bool
    because: str

    @classmethod
    def from_domain(cls, ruling: Ruling, *, action: str, alias: str | None) -> Self:
        """The view of a ruling on ``action``."""
        return cls(action=action, alias=alias, allowed=ruling.allowed, because=ruling.because)


class TokenView(View):
    """An API token. `secret` is shown in the answer that creates it and never again."""

    id: str
    name: str
    person: str
    scope: str
    aliases: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = None

    @classmethod
    def from_domain(cls, token: "Token", *, secret: str | None = None) -> Self:
        """The view of a token, with its secret when it was created just now."""
        only = tuple(sorted(token.aliases)) if token.aliases is not None else None
        return cls(**{**vars(token), "aliases": only}, secret=secret)


class CallerKeyView(View):
    """A key an application calls the gateway with. `secret` is shown in the answer that creates it, never again."""

    id: str
    caller: str
    aliases: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = None

    @classmethod
    def from_domain(cls, key: "Key", *, secret: str | None = None) -> Self:
        """The view of a caller key, with its secret when it was created just now."""
        only = tuple(sorted(key.aliases)) if key.aliases is not None else None
        return cls(**{**vars(key), "aliases": only}, secret=secret)


class EndedView(View):
    """How many sessions were ended."""

    person: str
    ended: int
