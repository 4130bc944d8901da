"""The registry over HTTP: providers, prompt versions, data versions, versions and their known issues."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response

from app.api.asking import AskingNow, WritingNow
from app.api.doors import WRITES, door
from app.api.shapes import (
    AddIssue,
    ChangeProvider,
    DataVersionView,
    IssueView,
    LiftQuarantine,
    NoteVersion,
    Page,
    PromptView,
    ProviderView,
    RegisterDataVersion,
    RegisterPrompt,
    RegisterProvider,
    RegisterVersion,
    VersionQuarantineView,
    VersionView,
)
from core import errors
from core.services import quarantines, reading, registry

router = APIRouter()

Provider = Annotated[str, Path(max_length=64, description="The name of the provider.")]
Name = Annotated[str, Path(max_length=128, description="The name, which may hold slashes.")]
Issue = Annotated[int, Path(ge=1, le=2**31 - 1)]


# -- providers ------------------------------------------------------------------------------------


@router.get("/providers", tags=["providers"], **door("registry:read"))
def list_providers(at: AskingNow) -> Page[ProviderView]:
    """List the providers by name."""
    return Page(items=tuple(ProviderView.from_domain(p) for p in registry.providers(at.store, at.actor)))


@router.get("/providers/{provider}", tags=["providers"], **door("registry:read", errors.NotFound))
def get_provider(at: AskingNow, provider: Provider) -> ProviderView:
    """See one provider."""
    return ProviderView.from_domain(reading.provider(at.store, at.actor, provider))


@router.post("/providers", tags=["providers"], status_code=201, **door("provider:write", *WRITES, errors.AlreadyExists))
def register_provider(at: WritingNow, request: Request, body: RegisterProvider) -> ProviderView:
    """Register a provider. Registering the same again changes nothing."""

    def work() -> ProviderView:
        return ProviderView.from_domain(registry.register_provider(at.store, at.actor, body.to_domain(), now=at.now))

    _locate(request, at.response, "providers", body.name)
    return at.once(body, ProviderView, work)


@router.patch(
    "/providers/{provider}",
    tags=["providers"],
    **door("provider:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def change_provider(at: WritingNow, provider: Provider, body: ChangeProvider) -> ProviderView:
    """Change where a provider answers; what is left out stays. Gateways follow as they follow a flip."""
    given = body.model_fields_set

    def work() -> ProviderView:
        changed = registry.change_provider(
            at.store,
            at.actor,
            provider,
            base_url=body.base_url,
            secret_env=(body.secret_env or "") if "secret_env" in given else None,
            description=(body.description or "") if "description" in given else None,
            now=at.now,
        )
        return ProviderView.from_domain(changed)

    return at.once(body, ProviderView, work)


# -- prompt versions and data versions ------------------------------------------------------------


@router.get("/prompts", tags=["prompts"], **door("registry:read"))
def list_prompts(at: AskingNow) -> Page[PromptView]:
    """List the prompt versions, newest first."""
    return Page(items=tuple(PromptView.from_domain(p) for p in registry.prompts(at.store, at.actor)))


@router.get("/prompts/{prompt:path}", tags=["prompts"], **door("registry:read", errors.NotFound))
def get_prompt(at: AskingNow, prompt: Name) -> PromptView:
    """See one prompt version with its text."""
    return PromptView.from_domain(registry.prompt(at.store, at.actor, prompt))


@router.post("/prompts", tags=["prompts"], status_code=201, **door("registry:write", *WRITES, errors.AlreadyExists))
def register_prompt(at: WritingNow, request: Request, body: RegisterPrompt) -> PromptView:
    """Register an exact prompt text. Registering the same again changes nothing."""

    def work() -> PromptView:
        return PromptView.from_domain(registry.register_prompt(at.store, at.actor, body.name, body.text, now=at.now))

    _locate(request, at.response, "prompts", body.name)
    return at.once(body, PromptView, work)


@router.get("/data-versions", tags=["data versions"], **door("registry:read"))
def list_data_versions(at: AskingNow) -> Page[DataVersionView]:
    """List the data versions, newest first."""
    return Page(items=tuple(DataVersionView.from_domain(d) for d in registry.data_versions(at.store, at.actor)))


@router.get("/data-versions/{data_version:path}", tags=["data versions"], **door("registry:read", errors.NotFound))
def get_data_version(at: AskingNow, data_version: Name) -> DataVersionView:
    """See one data version."""
    return DataVersionView.from_domain(reading.data_version(at.store, at.actor, data_version))


@router.post(
    "/data-versions",
    tags=["data versions"],
    status_code=201,
    **door("registry:write", *WRITES, errors.AlreadyExists),
)
def register_data_version(at: WritingNow, request: Request, body: RegisterDataVersion) -> DataVersionView:
    """Register the state of some data. Registering the same again changes nothing."""

    def work() -> DataVersionView:
        return DataVersionView.from_domain(
            registry.register_data_version(at.store, at.actor, body.to_domain(), now=at.now)
        )

    _locate(request, at.response, "data-versions", body.name)
    return at.once(body, DataVersionView, work)


# -- versions -------------------------------------------------------------------------------------


@router.get("/versions", tags=["versions"], **door("registry:read"))
def list_versions(
    at: AskingNow,
    provider: Annotated[str | None, Query(max_length=64, description="Only those of this provider.")] = None,
    model_id: Annotated[str | None, Query(max_length=256, description="Only those of this model id.")] = None,
) -> Page[VersionView]:
    """List the versions, newest first."""
    found = [
        VersionView.from_domain(version)
        for version in registry.versions(at.store, at.actor)
        if provider in (None, version.provider) and model_id in (None, version.model_id)
    ]
    return Page(items=tuple(found))


# Before the route of a version, whose name may hold slashes and would take the last part of this path for its own.
@router.get("/versions/{version:path}/quarantine", tags=["versions"], **door("registry:read", errors.UnknownVersion))
def get_quarantine(at: AskingNow, version: Name) -> VersionQuarantineView:
    """See whether a version is quarantined, and every quarantine it was in."""
    return VersionQuarantineView.from_domain(version, quarantines.of(at.store, at.actor, version))


@router.post(
    "/versions/{version:path}/quarantine/lift",
    tags=["versions"],
    **door("registry:write", *WRITES, errors.UnknownVersion, errors.NothingToChange),
)
def lift_quarantine(at: WritingNow, version: Name, body: LiftQuarantine) -> VersionQuarantineView:
    """Let a quarantined version serve again; the known issues that came with it are resolved. No alias is moved."""

    def work() -> VersionQuarantineView:
        lifted = quarantines.lift(at.store, at.actor, version, reason=body.reason, now=at.now)
        return VersionQuarantineView.from_domain(version, lifted)

    return at.once(body, VersionQuarantineView, work)


@router.get("/versions/{version:path}", tags=["versions"], **door("registry:read", errors.UnknownVersion))
def get_version(at: AskingNow, version: Name) -> VersionView:
    """See one version with its known issues."""
    found = registry.version(at.store, at.actor, version)
    return VersionView.from_domain(found, registry.issues(at.store, at.actor, version))


@router.post(
    "/versions",
    tags=["versions"],
    status_code=201,
    **door("registry:write", *WRITES, errors.FloatingModel, errors.AlreadyExists, errors.NotFound),
)
def register_version(at: WritingNow, request: Request, body: RegisterVersion) -> VersionView:
    """Register a version. A model id that can move is refused with the reason; the same again changes nothing."""

    def work() -> VersionView:
        return VersionView.from_domain(registry.register_version(at.store, at.actor, body.to_domain(), now=at.now))

    _locate(request, at.response, "versions", body.name)
    return at.once(body, VersionView, work)


@router.patch(
    "/versions/{version:path}",
    tags=["versions"],
    **door("registry:write", *WRITES, errors.UnknownVersion, errors.NothingToChange),
)
def note_version(at: WritingNow, version: Name, body: NoteVersion) -> VersionView:
    """Replace the notes of a version, the only part of it that may change."""

    def work() -> VersionView:
        return VersionView.from_domain(registry.note(at.store, at.actor, version, body.notes, now=at.now))

    return at.once(body, VersionView, work)


@router.get("/known-issues", tags=["versions"], **door("registry:read"))
def list_known_issues(
    at: AskingNow, version: Annotated[str | None, Query(max_length=128, description="Only those of it.")] = None
) -> Page[IssueView]:
    """List known issues, open ones first, then newest first."""
    return Page(items=tuple(IssueView.from_domain(i) for i in registry.issues(at.store, at.actor, version)))


@router.post(
    "/known-issues", tags=["versions"], status_code=201, **door("registry:write", *WRITES, errors.UnknownVersion)
)
def add_known_issue(at: WritingNow, body: AddIssue) -> IssueView:
    """Put something wrong with a version on its record."""

    def work() -> IssueView:
        return IssueView.from_domain(registry.add_issue(at.store, at.actor, body.version, body.text, now=at.now))

    return at.once(body, IssueView, work)


@router.post(
    "/known-issues/{issue}/resolve",
    tags=["versions"],
    **door("registry:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def resolve_known_issue(at: WritingNow, issue: Issue) -> IssueView:
    """Say that a known issue no longer holds; it stays on the record."""

    def work() -> IssueView:
        return IssueView.from_domain(registry.resolve_issue(at.store, at.actor, issue, now=at.now))

    return at.once(None, IssueView, work)


def _locate(request: Request, response: Response, collection: str, name: str) -> None:
    root = request.scope.get("root_path", "")
    response.headers["location"] = f"{root}/{collection}/{quote(name, safe='')}"
