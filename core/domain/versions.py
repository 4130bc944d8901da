"""What can be pinned: providers, prompt versions, data versions, and the immutable version that binds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256
from typing import Any

PROVIDER_KINDS: Mapping[str, str] = {
    "openai": "OpenAI's own API, or anything that speaks it under OpenAI's model ids",
    "anthropic": "Anthropic's models through its OpenAI-compatible endpoint",
    "google": "Gemini models through Google's OpenAI-compatible endpoint",
    "mistral": "Mistral's API",
    "azure": "Azure OpenAI's v1 API",
    "openai_compatible": "any other server that speaks the OpenAI chat completions API",
    "recorded": "Pinrail's recorded provider, which replays recordings; its model ids are exempt from pinning rules",
}
"""Kinds of provider; the kind chooses the pinning rules. All are called by OpenAI chat completions."""

BUNDLE_MAY_NOT_SET = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""Request fields that stay the caller's or the gateway's; a version's parameters may set any other."""


OUR_VARIABLES = "PINRAIL_"
"""How the variables of Pinrail itself begin. They are no provider's: the store's password is in one of them."""


@dataclass(frozen=True)
class Provider:
    """Somebody who answers requests. ``secret_env`` *names* the environment variable that holds its key."""

    name: str
    kind: str
    base_url: str
    secret_env: str | None = None
    description: str = ""


@dataclass(frozen=True)
class PromptVersion:
    """An exact prompt text; the gateway puts it before the caller's messages as a system message."""

    name: str
    text: str
    registered_at: datetime | None = None
    registered_by: str = ""

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class DataVersion:
    """The state of some data a version was built with: a fine-tuning set, a retrieval index, examples."""

    name: str
    description: str = ""
    sha256: str | None = None
    rows: int | None = None
    source: str | None = None
    registered_at: datetime | None = None
    registered_by: str = ""


@dataclass(frozen=True)
class Price:
    """What a version costs, in micro-dollars per million tokens (2_500_000 is $2.50)."""

    input_microdollars: int | None = None
    output_microdollars: int | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a version can do; None means unknown, which is never counted as yes."""

    tools: bool | None = None
    vision: bool | None = None
    json_schema: bool | None = None
    context_tokens: int | None = None


@dataclass(frozen=True)
class KnownIssue:
    """Something wrong with a version that people must know before they send traffic to it."""

    id: int
    version: str
    text: str
    added_at: datetime
    added_by: str
    resolved_at: datetime | None = None
    resolved_by: str | None = None


@dataclass(frozen=True)
class Version:
    """An immutable record of one pinned model with its prompt version, parameters and data versions.

    ``pin_class`` is what the pinning rules said when it was registered (pinned or unknown; floating is refused).
    """

    name: str
    provider: str
    model_id: str
    prompt: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_versions: tuple[str, ...] = ()
    introduced: date | None = None
    price: Price = Price()
    capabilities: Capabilities = Capabilities()
    notes: str = ""
    pin_class: str = "unknown"
    pin_because: str = ""
    registered_at: datetime | None = None
    registered_by: str = ""

    @property
    def reference(self) -> str:
        """A text that names exactly what runs: model@prompt@data versions."""
        return "@".join([self.model_id, self.prompt or "no prompt", *self.data_versions])
