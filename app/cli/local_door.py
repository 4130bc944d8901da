"""The door directly on the store: the same services and views as the API, as `local:<os user>` or a token's person."""

import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import Verb
from app.cli.once import done_once
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.domain.alerts import Alert, AlertState
from core.domain.evacuation import Concern
from core.domain.permissions import Actor, local, rule_on
from core.services import access, alerting, callers, channels, evacuation, flips, quarantines, reading, registry
from core.services.alerting import Story
from core.services.flips import Moved
from core.store.database import Store

V = TypeVar("V", bound=shapes.View)


@contextmanager
def open_local_door(settings: Settings, token: str | None) -> "Iterator[LocalDoor]":
    """Open the store; a token narrows root to what the token's person may do through it."""
    pinrail = ready_pinrail(settings)
    try:
        if token is None:
            actor = local(getpass.getuser())
        else:
            actor = access.actor_for_token(pinrail.store, token, now=pinrail.now())
        yield LocalDoor(pinrail, actor)
    finally:
        pinrail.store.close()


@dataclass(frozen=True)
class LocalDoor:
    """Commands carried out here and now; see `Door`."""

    pinrail: Pinrail
    actor: Actor

    @property
    def _store(self) -> Store:
        return self.pinrail.store

    def whoami(self) -> shapes.ActorView:
        return shapes.ActorView.from_domain(self.actor)

    def ruling(self, action: str, alias: str | None) -> shapes.RulingView:
        ruling = rule_on(self.actor, action, alias)
        return shapes.RulingView.from_domain(ruling, action=action, alias=alias)

    def status(self) -> shapes.StatusView:
        now = self.pinrail.now()
        return shapes.StatusView.from_domain(reading.status(self._store, self.actor, now=now), now=now)

    # -- aliases ----------------------------------------------------------------------------------

    def aliases(self) -> Page[shapes.AliasView]:
        found = reading.alias_list(self._store, self.actor)
        return Page[shapes.AliasView](items=tuple(shapes.AliasView.from_domain(r) for r in found))

    def alias(self, name: str) -> shapes.AliasView:
        return shapes.AliasView.from_domain(reading.alias(self._store, self.actor, name))

    def history(self, name: str) -> Page[shapes.RevisionView]:
        found = reversed(reading.history(self._store, self.actor, name))
        return Page[shapes.RevisionView](items=tuple(shapes.RevisionView.from_domain(r) for r in found))

    def served(self, name: str, at: datetime) -> shapes.RevisionView:
        return shapes.RevisionView.from_domain(reading.served_at(self._store, self.actor, name, at))

    def targets(self, name: str) -> Page[shapes.RollbackTargetView]:
        dwell = self.pinrail.settings.minimum_dwell
        found = reading.rollback_targets(self._store, self.actor, name, now=self.pinrail.now(), minimum_dwell=dwell)
        return Page[shapes.RollbackTargetView](items=tuple(shapes.RollbackTargetView.from_domain(t) for t in found))

    def receipt(self, name: str, revision: int) -> shapes.ReceiptView:
        found = reading.receipt(self._store, self.actor, name, revision, now=self.pinrail.now())
        return shapes.ReceiptView.from_domain(found)

    def create_alias(self, body: shapes.CreateAlias, *, key: str) -> shapes.MovedView:
        given = {**dict(body), "idempotency_key": key, "now": self.pinrail.now()}
        return shapes.MovedView.from_domain(flips.create(self._store, self.actor, **given))

    def move(self, verb: Verb, alias: str, body: shapes.Write, *, key: str) -> shapes.MovedView:
        given = {**_MORE.get(verb, _nothing_more)(self, body), "seen_revision": body.seen_revision}
        given |= {"reason": body.reason, "idempotency_key": key, "now": self.pinrail.now()}
        return shapes.MovedView.from_domain(_MOVES[verb](self._store, self.actor, alias, **given))

    # -- the registry -----------------------------------------------------------------------------

    def providers(self) -> Page[shapes.ProviderView]:
        found = registry.providers(self._store, self.actor)
        return Page[shapes.ProviderView](items=tuple(shapes.ProviderView.from_domain(p) for p in found))

    def register_provider(self, body: shapes.RegisterProvider) -> shapes.ProviderView:
        made = registry.register_provider(self._store, self.actor, body.to_domain(), now=self.pinrail.now())
        return shapes.ProviderView.from_domain(made)

    def change_provider(self, name: str, body: shapes.ChangeProvider) -> shapes.ProviderView:
        given = _cleared(body, "secret_env")
        made = registry.change_provider(self._store, self.actor, name, **given, now=self.pinrail.now())
        return shapes.ProviderView.from_domain(made)

    def prompts(self) -> Page[shapes.PromptView]:
        found = registry.prompts(self._store, self.actor)
        return Page[shapes.PromptView](items=tuple(shapes.PromptView.from_domain(p) for p in found))

    def prompt(self, name: str) -> shapes.PromptView:
        return shapes.PromptView.from_domain(registry.prompt(self._store, self.actor, name))

    def register_prompt(self, body: shapes.RegisterPrompt) -> shapes.PromptView:
        made = registry.register_prompt(self._store, self.actor, body.name, body.text, now=self.pinrail.now())
        return shapes.PromptView.from_domain(made)

    def data_versions(self) -> Page[shapes.DataVersionView]:
        found = registry.data_versions(self._store, self.actor)
        return Page[shapes.DataVersionView](items=tuple(shapes.DataVersionView.from_domain(d) for d in found))

    def data_version(self, name: str) -> shapes.DataVersionView:
        return shapes.DataVersionView.from_domain(reading.data_version(self._store, self.actor, name))

    def register_data_version(self, body: shapes.RegisterDataVersion) -> shapes.DataVersionView:
        made = registry.register_data_version(self._store, self.actor, body.to_domain(), now=self.pinrail.now())
        return shapes.DataVersionView.from_domain(made)

    def versions(self) -> Page[shapes.VersionView]:
        found = registry.versions(self._store, self.actor)
        return Page[shapes.VersionView](items=tuple(shapes.VersionView.from_domain(v) for v in found))

    def version(self, name: str) -> shapes.VersionView:
        found = registry.version(self._store, self.actor, name)
        return shapes.VersionView.from_domain(found, registry.issues(self._store, self.actor, name))

    def register_version(self, body: shapes.RegisterVersion) -> shapes.VersionView:
        made = registry.register_version(self._store, self.actor, body.to_domain(), now=self.pinrail.now())
        return shapes.VersionView.from_domain(made)

    def note_version(self, name: str, body: shapes.NoteVersion) -> shapes.VersionView:
        made = registry.note(self._store, self.actor, name, body.notes, now=self.pinrail.now())
        return shapes.VersionView.from_domain(made)

    def quarantine(self, name: str) -> shapes.VersionQuarantineView:
        return shapes.VersionQuarantineView.from_domain(name, quarantines.of(self._store, self.actor, name))

    def lift_quarantine(self, name: str, body: shapes.LiftQuarantine) -> shapes.VersionQuarantineView:
        lifted = quarantines.lift(self._store, self.actor, name, reason=body.reason, now=self.pinrail.now())
        return shapes.VersionQuarantineView.from_domain(name, lifted)

    def issues(self, version: str | None) -> Page[shapes.IssueView]:
        found = registry.issues(self._store, self.actor, version)
        return Page[shapes.IssueView](items=tuple(shapes.IssueView.from_domain(i) for i in found))

    def add_issue(self, body: shapes.AddIssue, *, key: str) -> shapes.IssueView:
        def work() -> shapes.IssueView:
            made = registry.add_issue(self._store, self.actor, body.version, body.text, now=self.pinrail.now())
            return shapes.IssueView.from_domain(made)

        return self._once(key, "/known-issues", body, shapes.IssueView, work)

    def resolve_issue(self, issue: int) -> shapes.IssueView:
        return shapes.IssueView.from_domain(
            registry.resolve_issue(self._store, self.actor, issue, now=self.pinrail.now())
        )

    # -- evacuations ------------------------------------------------------------------------------

    def evacuations(self) -> Page[shapes.EvacuationView]:
        found = evacuation.listed(self._store, self.actor)
        return Page[shapes.EvacuationView](items=tuple(shapes.EvacuationView.from_domain(e) for e in found))

    def evacuation(self, name: str) -> shapes.EvacuationView:
        found = evacuation.show(self._store, self.actor, name, now=self.pinrail.now())
        return shapes.EvacuationView.from_domain(found)

    def preview_evacuation(self, provider: str | None, version: str | None) -> shapes.PreviewView:
        concern, dwell = Concern(provider, version), self.pinrail.settings.minimum_dwell
        plans = evacuation.preview(self._store, self.actor, concern, now=self.pinrail.now(), minimum_dwell=dwell)
        return shapes.PreviewView.from_domain(concern, plans)

    def evacuate(self, body: shapes.Evacuate) -> shapes.EvacuationView:
        concern, wanted = Concern(body.provider, body.version), [move.to_domain() for move in body.moves]
        dwell, now = self.pinrail.settings.minimum_dwell, self.pinrail.now()
        made, results = evacuation.run(
            self._store, self.actor, concern, wanted, reason=body.reason, now=now, minimum_dwell=dwell
        )
        found = evacuation.show(self._store, self.actor, made.id, now=now)
        return shapes.EvacuationView.from_domain(found, results)

    def return_evacuation(self, name: str, body: shapes.ReturnEvacuation) -> shapes.EvacuationView:
        made, results = evacuation.give_back(self._store, self.actor, name, reason=body.reason, now=self.pinrail.now())
        return shapes.EvacuationView.from_domain(made, results)

    # -- access -----------------------------------------------------------------------------------

    def callers(self) -> Page[shapes.CallerKeyView]:
        found = callers.keys(self._store, self.actor)
        return Page[shapes.CallerKeyView](items=tuple(shapes.CallerKeyView.from_domain(k) for k in found))

    def create_caller(self, body: shapes.CreateCallerKey, *, key: str) -> shapes.CallerKeyView:
        def work() -> shapes.CallerKeyView:
            made, secret = callers.create_key(self._store, self.actor, **dict(body), now=self.pinrail.now())
            return shapes.CallerKeyView.from_domain(made, secret=secret)

        return self._once(key, "/caller-keys", body, shapes.CallerKeyView, work)

    def revoke_caller(self, key: str) -> shapes.CallerKeyView:
        return shapes.CallerKeyView.from_domain(
            callers.revoke_key(self._store, self.actor, key, now=self.pinrail.now())
        )

    def people(self) -> Page[shapes.PersonView]:
        found = access.people(self._store, self.actor)
        return Page[shapes.PersonView](items=tuple(shapes.PersonView.from_domain(p) for p in found))

    def add_person(self, body: shapes.AddPerson) -> shapes.PersonView:
        made = access.add_person(self._store, self.actor, **dict(body), now=self.pinrail.now())
        return shapes.PersonView.from_domain(made)

    def disable_person(self, name: str) -> shapes.PersonView:
        access.disable_person(self._store, self.actor, name, now=self.pinrail.now())
        return self._person(name)

    def enable_person(self, name: str) -> shapes.PersonView:
        access.enable_person(self._store, self.actor, name, now=self.pinrail.now())
        return self._person(name)

    def grant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView:
        access.grant(self._store, self.actor, name, body.to_domain(), now=self.pinrail.now())
        return self._person(name)

    def ungrant(self, name: str, body: shapes.GiveRole) -> shapes.PersonView:
        access.ungrant(self._store, self.actor, name, body.to_domain(), now=self.pinrail.now())
        return self._person(name)

    def set_password(self, name: str, body: shapes.SetPassword) -> shapes.PersonView:
        access.set_password(self._store, self.actor, name, body.password, now=self.pinrail.now())
        return self._person(name)

    def _person(self, name: str) -> shapes.PersonView:
        return shapes.PersonView.from_domain(reading.person(self._store, self.actor, name))

    def sign_out(self, name: str) -> shapes.EndedView:
        ended = access.revoke_sessions(self._store, self.actor, name, now=self.pinrail.now())
        return shapes.EndedView(person=name, ended=ended)

    def tokens(self) -> Page[shapes.TokenView]:
        found = access.tokens(self._store, self.actor)
        return Page[shapes.TokenView](items=tuple(shapes.TokenView.from_domain(t) for t in found))

    def create_token(self, body: shapes.CreateToken, *, key: str) -> shapes.TokenView:
        def work() -> shapes.TokenView:
            token, secret = access.create_token(self._store, self.actor, **dict(body), now=self.pinrail.now())
            return shapes.TokenView.from_domain(token, secret=secret)

        return self._once(key, "/tokens", body, shapes.TokenView, work)

    def revoke_token(self, token: str) -> shapes.TokenView:
        return shapes.TokenView.from_domain(access.revoke_token(self._store, self.actor, token, now=self.pinrail.now()))

    # -- alerts -----------------------------------------------------------------------------------

    def alerts(self, *, states: tuple[str, ...], alias: str | None, limit: int) -> Page[shapes.AlertView]:
        wanted = [AlertState(state) for state in states] or None
        found = alerting.alert_list(self._store, self.actor, states=wanted, alias=alias, limit=limit)
        return Page[shapes.AlertView](items=tuple(self._alert(alert) for alert in found))

    def alert(self, number: int) -> shapes.AlertView:
        found = alerting.story(self._store, self.actor, number)
        return self._alert(found.alert, found)

    def acknowledge(self, number: int, body: shapes.HandleAlert) -> shapes.AlertView:
        now = self.pinrail.now()
        return self._alert(alerting.acknowledge(self._store, self.actor, number, reason=body.reason, now=now))

    def resolve_alert(self, number: int, body: shapes.HandleAlert) -> shapes.AlertView:
        now = self.pinrail.now()
        return self._alert(alerting.resolve(self._store, self.actor, number, reason=body.reason, now=now))

    def silence(self, number: int, body: shapes.SilenceAlert) -> shapes.AlertView:
        given = {**dict(body), "now": self.pinrail.now()}
        return self._alert(alerting.silence(self._store, self.actor, number, **given))

    def _alert(self, alert: Alert, story: Story | None = None) -> shapes.AlertView:
        base_url, now = self.pinrail.settings.base_url, self.pinrail.now()
        return shapes.AlertView.from_domain(alert, base_url=base_url, now=now, story=story)

    def channels(self) -> Page[shapes.ChannelView]:
        found = channels.channels(self._store, self.actor)
        return Page[shapes.ChannelView](items=tuple(shapes.ChannelView.from_domain(c) for c in found))

    def add_channel(self, body: shapes.AddChannel) -> shapes.ChannelView:
        made = channels.add_channel(self._store, self.actor, body.to_domain(), now=self.pinrail.now())
        return shapes.ChannelView.from_domain(made)

    def change_channel(self, name: str, body: shapes.ChangeChannel) -> shapes.ChannelView:
        made = channels.change_channel(self._store, self.actor, name, body.wanted(), now=self.pinrail.now())
        return shapes.ChannelView.from_domain(made)

    def remove_channel(self, name: str) -> shapes.ChannelView:
        gone = channels.remove_channel(self._store, self.actor, name, now=self.pinrail.now())
        return shapes.ChannelView.from_domain(gone)

    def test_channel(self, name: str) -> shapes.DeliveryView:
        queued = channels.test_channel(self._store, self.actor, name, now=self.pinrail.now())
        return shapes.DeliveryView.from_domain(queued)

    def deliveries(self, *, channel: str | None, alert: int | None, limit: int) -> Page[shapes.DeliveryView]:
        found = alerting.delivery_list(self._store, self.actor, channel=channel, alert=alert, limit=limit)
        return Page[shapes.DeliveryView](items=tuple(shapes.DeliveryView.from_domain(d) for d in found))

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
        found = reading.audit(
            self._store,
            self.actor,
            kind=kind,
            by=by,
            subject=subject,
            outcome=outcome,
            before=int(before) if before else None,
            limit=limit,
        )
        views = tuple(shapes.AuditEventView.from_domain(e.event, seq=e.seq, hash=e.hash) for e in found)
        more = str(views[-1].seq) if len(views) == limit and views[-1].seq > 1 else None
        return Page[shapes.AuditEventView](items=views, next=more)

    def audit_head(self) -> shapes.AuditHeadView:
        return shapes.AuditHeadView(**vars(reading.audit_head(self._store, self.actor)))

    def audit_verified(self, expected_head: str | None) -> shapes.AuditHeadView:
        found = reading.audit_verified(self._store, self.actor, expected_head=expected_head)
        return shapes.AuditHeadView(**vars(found))

    def _once(self, key: str, path: str, body: shapes.Body, view: type[V], work: Callable[[], V]) -> V:
        return done_once(self.pinrail, self.actor, key, path=path, body=body, view=view, work=work)


# -- from bodies to arguments -------------------------------------------------------------------


def _cleared(body: shapes.Body, *clearable: str) -> dict[str, Any]:
    """What ``body`` says, where an explicit null becomes the empty text by which services clear a field."""
    said = {name: getattr(body, name) for name in body.model_fields_set - {"reason", "seen_revision"}}
    return {name: "" if value is None and name in clearable else value for name, value in said.items()}


def _nothing_more(_door: LocalDoor, _body: shapes.Write) -> dict[str, Any]:
    return {}


def _with_override(body: shapes.Write, **given: Any) -> dict[str, Any]:
    return {**given, "override_quarantine": cast(shapes.FlipAlias | shapes.UndoRevision, body).override_quarantine}


def _rollback_arguments(door: LocalDoor, body: shapes.Write) -> dict[str, Any]:
    return {"to": cast(shapes.RollBackAlias, body).to, "minimum_dwell": door.pinrail.settings.minimum_dwell}


_MORE: Mapping[Verb, Callable[[LocalDoor, shapes.Write], dict[str, Any]]] = {
    "flip": lambda _door, body: _with_override(body, version=cast(shapes.FlipAlias, body).version),
    "rollback": _rollback_arguments,
    "undo": lambda _door, body: _with_override(body, number=cast(shapes.UndoRevision, body).revision),
    "describe": lambda _door, body: _cleared(body, "owner"),
    "protect": lambda _door, body: {"protected": cast(shapes.ProtectAlias, body).protected},
}

_MOVES: Mapping[Verb, Callable[..., Moved]] = {
    "flip": flips.flip,
    "rollback": flips.roll_back,
    "undo": flips.undo,
    "hold": flips.hold,
    "release": flips.release,
    "describe": flips.describe,
    "protect": flips.protect,
    "retire": flips.retire,
}
