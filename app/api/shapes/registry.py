"""What is registered, as it is shown: providers, prompts, data versions, versions, known issues."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Self

from pydantic import Field

from app.api.shapes.common import View
from core.domain.versions import DataVersion, KnownIssue, PromptVersion, Provider, Version


class ProviderView(View):
    """Somebody who answers requests. `secret_env` names a variable of the gateway; the key itself is not stored."""

    name: str
    kind: str
    base_url: str
    secret_env: str | None
    description: str

    @classmethod
    def from_domain(cls, provider: Provider) -> Self:
        """The view of a provider."""
        return cls(**vars(provider))


class PromptView(View):
    """An exact prompt text."""

    name: str
    text: str
    sha256: str
    registered_at: datetime | None
    registered_by: str

    @classmethod
    def from_domain(cls, prompt: PromptVersion) -> Self:
        """The view of a prompt version."""
        return cls(**vars(prompt), sha256=prompt.sha256)


class DataVersionView(View):
    """The state of some data that versions were built with."""

    name: str
    description: str
    sha256: str | None
    rows: int | None
    source: str | None
    registered_at: datetime | None
    registered_by: str

    @classmethod
    def from_domain(cls, data: DataVersion) -> Self:
        """The view of a data version."""
        return cls(**vars(data))


class PriceView(View):
    """Micro-dollars per million tokens; null where unknown."""

    input_microdollars: int | None = Field(None, ge=0, le=10**12)
    output_microdollars: int | None = Field(None, ge=0, le=10**12)


class CapabilitiesView(View):
    """What a version can do; null means unknown, which is never counted as yes."""

    tools: bool | None = None
    vision: bool | None = None
    json_schema: bool | None = None
    context_tokens: int | None = Field(None, ge=1, le=10**9)


class IssueView(View):
    """Something wrong with a version that people must know before they send traffic to it."""

    id: int
    version: str
    text: str
    added_at: datetime
    added_by: str
    resolved_at: datetime | None
    resolved_by: str | None

    @classmethod
    def from_domain(cls, issue: KnownIssue) -> Self:
        """The view of a known issue."""
        return cls(**vars(issue))


class VersionView(View):
    """One pinned model with its prompt version and parameters. Never changes, except for `notes` and issues."""

    name: str
    provider: str
    model_id: str
    prompt: str | None
    parameters: dict[str, Any]
    data_versions: tuple[str, ...]
    introduced: date | None
    price: PriceView
    capabilities: CapabilitiesView
    notes: str
    pin_class: str
    pin_because: str
    reference: str = Field(description="Names exactly what runs: model@prompt@data versions.")
    registered_at: datetime | None
    registered_by: str
    issues: tuple[IssueView, ...] | None = Field(None, description="Known issues, open ones first; null in lists.")

    @classmethod
    def from_domain(cls, version: Version, issues: Sequence[KnownIssue] | None = None) -> Self:
        """The view of a version, with its known issues where they are wanted."""
        return cls(
            **{key: value for key, value in vars(version).items() if key not in ("price", "capabilities")},
            price=PriceView(**vars(version.price)),
            capabilities=CapabilitiesView(**vars(version.capabilities)),
            reference=version.reference,
            issues=None if issues is None else tuple(IssueView.from_domain(issue) for issue in issues),
        )
