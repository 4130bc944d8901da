"""What every view is made of: how it is read, pages of it, and refusals."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class View(BaseModel):
    """Something as it is shown. Fields that a newer server adds are ignored by an older client."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T", bound=View)


class Page(View, Generic[T]):
    """Some things in the order that the list promises."""

    items: tuple[T, ...]
    next: str | None = Field(None, description="Pass it as `before` to get the page that follows; null at the end.")


class Problem(View):
    """A refusal (RFC 9457). `code` is stable and for programs; `detail` says what happened and what would do."""

    type: str = Field(description="`urn:pinrail:problem:` and the code.")
    title: str = Field(description="What this kind of refusal means.")
    status: int = Field(description="The HTTP status again.")
    detail: str = Field(description="This case, in words for people.")
    code: str = Field(description="The kind of refusal, for programs.")
    instance: str = Field(description="This very answer: `urn:pinrail:request:` and the request id, as in the log.")
    errors: tuple[dict[str, str], ...] = Field((), description="Which values cannot be used, where known.")
