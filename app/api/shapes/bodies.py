"""What the API takes: one body per write, with its limits. Unknown fields are refused, so that no typo is silent."""

from collections.abc import Mapping
from datetime import date, datetime
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from app.api.shapes.registry import CapabilitiesView, PriceView
from core.domain.names import LONGEST, NAME_PATTERN, SLUG_PATTERN, is_storable
from core.domain.permissions import SCOPES, Grant, Role
from core.domain.versions import PROVIDER_KINDS, Capabilities, DataVersion, Price, Provider, Version

# The patterns are only shown here: the domain refuses a name in better words.
Slug = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"pattern": f"^{SLUG_PATTERN}$"})]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST, json_schema_extra={"pattern": f"^{NAME_PATTERN}$"})]
Reason = Annotated[str, Field(max_length=2000, description="Why; kept in the history and the audit log.")]
Aliases = Annotated[tuple[Slug, ...], Field(min_length=1, max_length=200)]
MAX_DEPTH = 20


class Body(BaseModel):
    """Something that is asked for. What no store and no gateway could keep or send again is refused here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, given: Any) -> Any:
        _refuse_unstorable(given, MAX_DEPTH)
        return given


def _refuse_unstorable(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str) and not is_storable(value):
        raise ValueError("a text holds a character that cannot be stored: NUL, or half of a surrogate pair")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("NaN and Infinity are no JSON numbers")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number has at most 64 bits")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_unstorable(key, depth - 1)
            _refuse_unstorable(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_unstorable(inner, depth - 1)


def _before_far_future(at: datetime) -> datetime:
    if at.year > 3000:
        raise ValueError("this is after the year 3000; leave it out for never")
    return at


Until = Annotated[AwareDatetime, AfterValidator(_before_far_future)]


Override = Annotated[
    str | None,
    Field(
        max_length=500, description="Why a quarantined version shall serve all the same; without it that is refused."
    ),
]


# -- aliases --------------------------------------------------------------------------------------


class CreateAlias(Body):
    """Create an alias that serves a version."""

    alias: Slug
    version: Name
    description: str = Field("", max_length=2000)
    owner: str | None = Field(None, max_length=128)
    protected: bool = False
    fallbacks: tuple[Name, ...] = Field((), max_length=8)
    reason: Reason = ""
    override_quarantine: Override = None


class Write(Body):
    """A write on an alias. The revision that the person saw is given here or in `If-Match`."""

    reason: Reason = ""
    seen_revision: int | None = Field(None, ge=1, le=2**31 - 1, description="Instead of `If-Match`.")


class FlipAlias(Write):
    """Move the alias to another version."""

    version: Name
    override_quarantine: Override = None


class RollBackAlias(Write):
    """Return the alias to a version that served it well; without `to`, to the best one."""

    to: Name | None = None


class UndoRevision(Write):
    """Put back what one revision changed."""

    revision: int = Field(ge=1, le=2**31 - 1)
    override_quarantine: Override = None


class ProtectAlias(Write):
    """Ask for a second person before every flip, or stop asking."""

    protected: bool


class DescribeAlias(Write):
    """Edit the alias; what is left out stays as it is. An owner of null clears it."""

    description: str | None = Field(None, max_length=2000)
    owner: str | None = Field(None, max_length=128)
    fallbacks: tuple[Name, ...] | None = Field(None, max_length=8)
    override_quarantine: Override = None


# -- the registry ---------------------------------------------------------------------------------


class RegisterProvider(Body):
    """Register a provider."""

    name: Slug
    kind: str = Field(max_length=64, json_schema_extra={"enum": list(PROVIDER_KINDS)})
    base_url: str = Field(max_length=2000)
    secret_env: str | None = Field(None, max_length=128, description="The *name* of an environment variable.")
    description: str = Field("", max_length=2000)

    def to_domain(self) -> Provider:
        """The provider that is asked for."""
        return Provider(**dict(self))


class ChangeProvider(Body):
    """Change where a provider answers; what is left out stays as it is. A `secret_env` of null clears it."""

    base_url: str | None = Field(None, max_length=2000)
    secret_env: str | None = Field(None, max_length=128)
    description: str | None = Field(None, max_length=2000)


class RegisterPrompt(Body):
    """Register an exact prompt text."""

    name: Name
    text: str = Field(min_length=1, max_length=200_000)


class RegisterDataVersion(Body):
    """Register the state of some data."""

    name: Name
    description: str = Field("", max_length=2000)
    sha256: str | None = Field(None, max_length=64)
    rows: int | None = Field(None, ge=0, le=2**31 - 1)
    source: str | None = Field(None, max_length=2000)

    def to_domain(self) -> DataVersion:
        """The data version that is asked for."""
        return DataVersion(**dict(self))


class RegisterVersion(Body):
    """Register a version: a pinned model id with its prompt version, parameters and data versions."""

    name: Name
    provider: Slug
    model_id: str = Field(min_length=1, max_length=256)
    prompt: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=100)
    data_versions: tuple[Name, ...] = Field((), max_length=50)
    introduced: date | None = None
    price: PriceView = PriceView()
    capabilities: CapabilitiesView = CapabilitiesView()
    notes: str = Field("", max_length=20_000)

    def to_domain(self) -> Version:
        """The version that is asked for."""
        given = {**dict(self), "price": Price(**dict(self.price))}
        return Version(**{**given, "capabilities": Capabilities(**dict(self.capabilities))})


class NoteVersion(Body):
    """Replace the notes of a version."""

    notes: str = Field(max_length=20_000)


class AddIssue(Body):
    """Put something wrong with a version on its record."""

    version: Name
    text: str = Field(min_length=1, max_length=20_000)


# -- access ---------------------------------------------------------------------------------------


class AddPerson(Body):
    """Give somebody an account, and perhaps a role everywhere."""

    name: Slug
    password: str | None = Field(None, max_length=1024)
    role: Role | None = None


class SetPassword(Body):
    """Set a password; the sessions begun with the old one end."""

    password: str = Field(max_length=1024)


class GiveRole(Body):
    """Give a role, everywhere or for one alias."""

    role: Role
    alias: Slug | None = None

    def to_domain(self) -> Grant:
        """The grant that is asked for."""
        return Grant(self.role, self.alias)


class CreateToken(Body):
    """Create an API token, by default for oneself."""

    name: Slug
    scope: str = Field(max_length=64, json_schema_extra={"enum": [scope.name for scope in SCOPES]})
    person: Slug | None = None
    aliases: Aliases | None = Field(None, description="The only aliases it is good for; null for all.")
    expires_at: Until | None = None


class CreateCallerKey(Body):
    """Create a key that an application calls the gateway with."""

    caller: Slug
    aliases: Aliases | None = Field(None, description="The only aliases it may call; null for all.")
    expires_at: Until | None = None
