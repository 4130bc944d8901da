"""The door over the API, for machines without database credentials: the same answers and the same refusals."""

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from app.api import shapes
from app.api.shapes import Page, View
from app.cli.connection import Connection
from app.cli.doors import Verb

V = TypeVar("V", bound=View)

PAGE = 500
_ALIAS_WRITES: Mapping[Verb, tuple[str, str]] = {
    "flip": ("POST", "/flip"),
    "rollback": ("POST", "/rollback"),
    "undo": ("POST", "/undo"),
    "hold": ("POST", "/hold"),
    "release": ("POST", "/release"),
    "describe": ("PATCH", ""),
    "protect": ("POST", "/protect"),
    "retire": ("POST", "/retire"),
}


class RemoteDoor:
    """Commands carried out by the server at ``url``; see `Door`."""

    def __init__(self, url: str, token: str | None) -> None:
        self._connection = Connection(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def whoami(self) -> shapes.ActorView:
        return self._get(shapes.ActorView, "/whoami")

    def ruling(self, action: str, alias: str | None) -> shapes.RulingView:
        return self._get(shapes.RulingView, "/can-i", action=action, alias=alias)

    def status(self) -> shapes.StatusView:
        return self._get(shapes.StatusView, "/status")

    # -- aliases ----------------------------------------------------------------------------------

    def aliases(self) -> Page[shapes.AliasView]:
        return self._get(Page[shapes.AliasView], "/aliases")

    def alias(self, name: str) -> shapes.AliasView:
        return self._get(shapes.AliasView, _path("aliases", name))

    def history(self, name: str) -> Page[shapes.RevisionView]:
        found: list[shapes.RevisionView] = []
        before: str | None = None
        while True:
            page = self._get(Page[shapes.RevisionView], _path("aliases", name) + "/history", before=before, limit=PAGE)
            found += page.items
            before = page.next
            if before is None:
                return Page[shapes.RevisionView](items=tuple(found))

    def served(self, name: str, at: datetime) -> shapes.RevisionView:
        return self._get(shapes.RevisionView, _path("aliases", name) + "/served", at=at.isoformat())

    def targets(self, name: str) -> Page[shapes.RollbackTargetView]:
        return self._get(Page[shapes.RollbackTargetView], _path("aliases", name) + "/rollback-targets")

    def receipt(self, name: str, revision: int) -> shapes.ReceiptView:
        return self._get(shapes.ReceiptView, f"{_path('aliases', name)}/receipts/{revision}")

    def create_alias(self, body: shapes.CreateAlias, *, key: str) -> shapes.MovedView:
        return self._write(shapes.MovedView, "POST", "/aliases", body, key=key)

    def move(self, verb: Verb, alias: str, body: shapes.Write, *, key: str) -> shapes.MovedView:
        method, what = _ALIAS_WRITES[verb]
        return self._write(shapes.MovedView, method, _path("aliases", alias) + what, body, key=key)

    # -- the registry -----------------------------------------------------------------------------

    def providers(self) -> Page[shapes.ProviderView]:
        return self._get(Page[shapes.ProviderView], "/providers")

    def register_provider(self, body: shapes.RegisterProvider) -> shapes.ProviderView:
        return self._write(shapes.ProviderView, "POST", "/providers", body)

    def change_provider(self, name: str, body: shapes.ChangeProvider) -> shapes.ProviderView:
        return self._write(shapes.ProviderView, "PATCH", _path("providers", name), body)

    def prompts(self) -> Page[shapes.PromptView]:
        return self._get(Page[shapes.PromptView], "/prompts")

    def prompt(self, name: str) -> shapes.PromptView:
        return self._get(shapes.PromptView, _path("prompts", name))

    def register_prompt(self, body: shapes.RegisterPrompt) -> shapes.PromptView:
        return self._write(shapes.PromptView, "POST", "/prompts", body)

    def data_versions(self) -> Page[shapes.DataVersionView]:
        return self._get(Page[shapes.DataVersionView], "/data-versions")

    def data_version(self, name: str) -> shapes.DataVersionView:
        return self._get(shapes.DataVersionView, _path("data-versions", name))

    def register_data_version(self, body: shapes.RegisterDataVersion) -> shapes.DataVersionView:
        return self._write(shapes.DataVersionView, "POST", "/data-versions", body)

    def versions(self) -> Page[shapes.VersionView]:
        return self._get(Page[shapes.VersionView], "/versions")

    def version(self, name: str) -> shapes.VersionView:
        return self._get(shapes.VersionView, _path("versions", name))

    def register_version(self, body: shapes.RegisterVersion) -> shapes.VersionView:
        return self._write(shapes.VersionView, "POST", "/versions", body)

    def note_version(self, name: str, body: shapes.NoteVersion) -> shapes.VersionView:
        return self._write(shapes.VersionView, "PATCH", _path("versions", name), body)

    def quarantine(self, name: str) -> shapes.VersionQuarantineView:
        return self._get(shapes.VersionQuarantineView, _path("versions", name) + "/quarantine")

    def lift_quarantine(self, name: str, body: shapes.LiftQuarantine) -> shapes.VersionQuarantineView:
        return self._write(shapes.VersionQuarantineView, "POST", _path("versions", name) + "/quarantine/lift", body)

    def issues(self, version: str | None) -> Page[shapes.IssueView]:
        return self._get(Page[shapes.IssueView], "/known-issues", version=version)

    def add_issue(self, body: shapes.AddIssue, *, key: str) -> shapes.IssueView:
        return self._write(shapes.IssueView, "POST", "/known-issues", body, key=key)

    def resolve_issue(self, issue: int) -> shapes.IssueView:
        return self._write(shapes.IssueView, "POST", f"/known-issues/{issue}/resolve")

    # -- evacuations ------------------------------------------------------------------------------

    def evacuations(self) -> Page[shapes.EvacuationView]:
        return self._get(Page[shapes.EvacuationView], "/evacuations")

    def evacuation(self, name: str) -> shapes.EvacuationView:
        return self._get(shapes.EvacuationView, _path("evacuations", name))

    def preview_evacuation(self, provider: str | None, version: str | None) -> shapes.PreviewView:
        return self._get(shapes.PreviewView, "/evacuations/preview", provider=provider, version=version)

    def evacuate(self, body: shapes.Evacuate) -> shapes.EvacuationView:
        return self._write(shapes.EvacuationView, "POST", "/evacuations", body)

    def return_evacuation(self, name: str, body: shapes.ReturnEvacuation) -> shapes.EvacuationView:
        return self._write(shapes.EvacuationView, "POST", _path("evacuations", name) + "/return", body)

    # -- access -----------------------------------------------------------------------------------

    def callers(self) -> Page[shapes.CallerKeyView]:
        return self._get(Page[shapes.CallerKeyView], "/caller-keys")

    def create_caller(self, body: shapes.CreateCallerKey, *, key: str) -> shapes.CallerKeyView:
        return self._write(shapes.CallerKeyView, "POST", "/caller-keys", body, key=key)

    def revoke_caller(self, key: str) -> shapes.CallerKeyView:
        return self._write(shapes.CallerKeyView, "POST", _path("caller-keys", key) + "/revoke")

    def people(self) -> Page[shapes.PersonView]:
        return self._get(Page[shapes.PersonView], "/people")

    def add_person(self, body: shapes.AddPerson) -> shapes.PersonView:
        return self._write(shapes.PersonView, "POST", "/people", body)

    def disable_person(self, name: str) -> shapes.PersonView:
        return self._write(shapes.PersonView, "POST", _path("people", name) + "/disable")

    def enable_person(self, name: str) -> shapes.PersonView:
        return self._write(shapes.PersonView, "POST", _path("people", name) + "/enable")

    def grant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView:
        return self._write(shapes.PersonView, "POST", _path("people", name) + "/grants", body)

    def ungrant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView:
        where = _path("people", name) + _path("grants", body.role.value)
        return self._write(shapes.PersonView, "DELETE", where, alias=body.alias)

    def set_password(self, name: str, body: shapes.SetPassword) -> shapes.PersonView:
        return self._write(shapes.PersonView, "PUT", _path("people", name) + "/password", body)

    def sign_out(self, name: str) -> shapes.EndedView:
        return self._write(shapes.EndedView, "POST", _path("people", name) + "/sessions/revoke")

    def tokens(self) -> Page[shapes.TokenView]:
        return self._get(Page[shapes.TokenView], "/tokens")

    def create_token(self, body: shapes.CreateToken, *, key: str) -> shapes.TokenView:
        return self._write(shapes.TokenView, "POST", "/tokens", body, key=key)

    def revoke_token(self, token: str) -> shapes.TokenView:
        return self._write(shapes.TokenView, "POST", _path("tokens", token) + "/revoke")

    # -- alerts -----------------------------------------------------------------------------------

    def alerts(self, *, states: tuple[str, ...], alias: str | None, limit: int) -> Page[shapes.AlertView]:
        asked = {"state": list(states) or None, "alias": alias, "limit": limit}
        return self._get(Page[shapes.AlertView], "/alerts", **asked)

    def alert(self, number: int) -> shapes.AlertView:
        return self._get(shapes.AlertView, f"/alerts/{number}")

    def acknowledge(self, number: int, body: shapes.HandleAlert) -> shapes.AlertView:
        return self._write(shapes.AlertView, "POST", f"/alerts/{number}/acknowledge", body)

    def resolve_alert(self, number: int, body: shapes.HandleAlert) -> shapes.AlertView:
        return self._write(shapes.AlertView, "POST", f"/alerts/{number}/resolve", body)

    def silence(self, number: int, body: shapes.SilenceAlert) -> shapes.AlertView:
        return self._write(shapes.AlertView, "POST", f"/alerts/{number}/silence", body)

    def channels(self) -> Page[shapes.ChannelView]:
        return self._get(Page[shapes.ChannelView], "/alert-channels")

    def add_channel(self, body: shapes.AddChannel) -> shapes.ChannelView:
        return self._write(shapes.ChannelView, "POST", "/alert-channels", body)

    def change_channel(self, name: str, body: shapes.ChangeChannel) -> shapes.ChannelView:
        return self._write(shapes.ChannelView, "PATCH", _path("alert-channels", name), body)

    def remove_channel(self, name: str) -> shapes.ChannelView:
        return self._write(shapes.ChannelView, "DELETE", _path("alert-channels", name))

    def test_channel(self, name: str) -> shapes.DeliveryView:
        return self._write(shapes.DeliveryView, "POST", _path("alert-channels", name) + "/test")

    def deliveries(self, *, channel: str | None, alert: int | None, limit: int) -> Page[shapes.DeliveryView]:
        asked = {"channel": channel, "alert": alert, "limit": limit}
        return self._get(Page[shapes.DeliveryView], "/alert-deliveries", **asked)

    # -- the audit log ----------------------------------------------------------------------------

    def audit(
        self,
        *,
        kind: str | None,
        by: str | None,
        subject: str | None,
        outcome: str | None,
        before: str | None,
        limit: int,
    ) -> Page[shapes.AuditEventView]:
        asked = {"kind": kind, "actor": by, "subject": subject, "outcome": outcome, "before": before, "limit": limit}
        return self._get(Page[shapes.AuditEventView], "/audit", **asked)

    def audit_head(self) -> shapes.AuditHeadView:
        return self._get(shapes.AuditHeadView, "/audit/head")

    def audit_verified(self, expected_head: str | None) -> shapes.AuditHeadView:
        return self._get(shapes.AuditHeadView, "/audit/verify", head=expected_head)

    # -- what they share --------------------------------------------------------------------------

    def _get(self, view: type[V], path: str, **params: Any) -> V:
        return self._connection.ask(view, "GET", path, params=params)

    def _write(
        self,
        view: type[V],
        method: str,
        path: str,
        body: shapes.Body | None = None,
        *,
        key: str | None = None,
        **params: Any,
    ) -> V:
        # Fields that nobody gave are left out, so that they stay as they are.
        sent = body.model_dump(mode="json", exclude_unset=True) if body is not None else None
        return self._connection.write(view, method, path, sent, params=params, key=key)


def _path(collection: str, name: str) -> str:
    return f"/{collection}/{quote(name, safe='')}"
