"""What can be pinned is registered here once and never changes, except for notes and known issues."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.names import checked_name, checked_slug, checked_text, is_storable
from core.domain.permissions import Actor, insist
from core.domain.pinning import PinClass, classify
from core.domain.versions import (
    BUNDLE_MAY_NOT_SET,
    OUR_VARIABLES,
    PROVIDER_KINDS,
    DataVersion,
    KnownIssue,
    PromptVersion,
    Provider,
    Version,
)
from core.errors import AlreadyExists, FloatingModel, InvalidInput, NotFound, NothingToChange
from core.services.recording import MAX_WORDS, change, event
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import (
    DataVersionRow,
    KnownIssueRow,
    PromptRow,
    ProviderRow,
    VersionRow,
)

MAX_PROMPT = 200_000
MAX_NOTES = 20_000
MAX_PARAMETERS = 50_000
MAX_DATA_VERSIONS = 100
MAX_ADDRESS = 500
MAX_NUMBER = 2**63 - 1

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")


# -- providers ------------------------------------------------------------------------------------


def register_provider(store: Store, actor: Actor, provider: Provider, *, now: datetime) -> Provider:
    """Register a provider; the same again is no change, another under the same name is AlreadyExists."""
    _check_provider(provider)
    facts = {"kind": provider.kind, "base_url": provider.base_url, "secret_env": provider.secret_env}
    said = event(actor, "provider.registered", f"provider:{provider.name}", now=now, after=facts)
    with change(store, actor, "provider:write", said) as session:
        row = session.get(ProviderRow, provider.name)
        if row is not None:
            _same_or_refuse("provider", provider.name, vars(repositories.as_provider(row)), vars(provider))
            return provider
        session.add(
            ProviderRow(
                name=provider.name,
                kind=provider.kind,
                base_url=provider.base_url,
                secret_env=provider.secret_env,
                description=provider.description,
                registered_at=now,
                registered_by=actor.name,
            )
        )
        repositories.next_serial(session)
        audit_log.append(session, said)
        return provider


def change_provider(
    store: Store,
    actor: Actor,
    name: str,
    *,
    base_url: str | None = None,
    secret_env: str | None = None,
    description: str | None = None,
    now: datetime,
) -> Provider:
    """Change where a provider answers; None leaves a field, an empty ``secret_env`` clears it. Its kind stays."""
    attempted = event(actor, "provider.changed", f"provider:{name}", now=now)
    with change(store, actor, "provider:write", attempted) as session:
        old = repositories.provider(session, name)
        new = Provider(
            name,
            old.kind,
            old.base_url if base_url is None else base_url,
            old.secret_env if secret_env is None else secret_env or None,
            old.description if description is None else description,
        )
        _check_provider(new)
        if new == old:
            raise NothingToChange(f"Provider {name} is already like this.")
        row = session.get_one(ProviderRow, name)
        row.base_url, row.secret_env, row.description = new.base_url, new.secret_env, new.description
        repositories.next_serial(session)
        before, after = vars(old), vars(new)
        audit_log.append(
            session, event(actor, "provider.changed", f"provider:{name}", now=now, before=before, after=after)
        )
        return new


def providers(store: Store, actor: Actor) -> list[Provider]:
    """Every provider, by name."""
    insist(actor, "registry:read")
    with store.reading() as session:
        rows = session.scalars(select(ProviderRow).order_by(col(ProviderRow.name)))
        return [repositories.as_provider(row) for row in rows]


def _check_provider(provider: Provider) -> None:
    checked_slug("a provider", provider.name)
    if provider.kind not in PROVIDER_KINDS:
        raise InvalidInput(f"There is no provider kind {provider.kind!r}. Kinds are {', '.join(PROVIDER_KINDS)}.")
    checked_text("A description", provider.description, most=MAX_WORDS)
    _check_address(checked_text("A base URL", provider.base_url, most=MAX_ADDRESS))
    # Capitals only: a key given by mistake has small letters or a dash, and is neither kept nor repeated.
    if provider.secret_env is not None and not _VARIABLE.fullmatch(provider.secret_env):
        raise InvalidInput(
            "secret_env names an environment variable in capitals, such as OPENAI_API_KEY. Give the variable's name, "
            "never the key."
        )
    if provider.secret_env is not None and provider.secret_env.startswith(OUR_VARIABLES):
        raise InvalidInput(
            f"{provider.secret_env} is Pinrail's own, and what it holds is for no provider: variables that begin with "
            f"{OUR_VARIABLES} are never sent to one."
        )


def _check_address(base_url: str) -> None:
    """Refuse what is no base URL, without repeating it: it may hold a password."""
    try:
        address = urlsplit(base_url)
        usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in base_url):
        raise InvalidInput("That is no base URL; one looks like https://api.example.com/v1.")
    if address.username or address.password or address.query or address.fragment:
        raise InvalidInput("A base URL carries no user, password, query or fragment: secrets live in the environment.")


# -- prompt versions and data versions ------------------------------------------------------------


def register_prompt(store: Store, actor: Actor, name: str, text: str, *, now: datetime) -> PromptVersion:
    """Register an exact prompt text under ``name``."""
    checked_name("a prompt version", name)
    checked_text("A prompt", text, least=1, most=MAX_PROMPT)
    if not text.strip():
        raise InvalidInput("A prompt is more than blanks. Leave it out for a version without a prompt.")
    new = PromptVersion(name, text, now, actor.name)
    facts = {"sha256": new.sha256, "characters": len(text)}
    said = event(actor, "prompt.registered", f"prompt:{name}", now=now, after=facts)
    with change(store, actor, "registry:write", said) as session:
        row = session.get(PromptRow, name)
        if row is not None:
            old = repositories.as_prompt(row)
            _same_or_refuse("prompt version", name, {"text": old.text}, {"text": text})
            return old
        session.add(PromptRow(name=name, text=text, sha256=new.sha256, registered_at=now, registered_by=actor.name))
        audit_log.append(session, said)
        return new


def prompts(store: Store, actor: Actor) -> list[PromptVersion]:
    """Every prompt version, newest first."""
    insist(actor, "registry:read")
    with store.reading() as session:
        rows = session.scalars(select(PromptRow).order_by(col(PromptRow.registered_at).desc(), col(PromptRow.name)))
        return [repositories.as_prompt(row) for row in rows]


def prompt(store: Store, actor: Actor, name: str) -> PromptVersion:
    """One prompt version; NotFound names the nearest."""
    insist(actor, "registry:read")
    with store.reading() as session:
        return repositories.prompt(session, name)


def register_data_version(store: Store, actor: Actor, data: DataVersion, *, now: datetime) -> DataVersion:
    """Register the state of some data."""
    checked_name("a data version", data.name)
    if data.sha256 is not None and (len(data.sha256) != 64 or not set(data.sha256) <= set("0123456789abcdef")):
        raise InvalidInput("A SHA-256 is 64 lower-case hexadecimal digits.")
    if data.rows is not None and not 0 <= data.rows <= MAX_NUMBER:
        raise InvalidInput(f"A data version has 0 to {MAX_NUMBER} rows.")
    checked_text("A description", data.description, most=MAX_WORDS)
    checked_text("A source", data.source or "", most=MAX_WORDS)
    new = replace(data, registered_at=now, registered_by=actor.name)
    said = event(actor, "data_version.registered", f"data_version:{data.name}", now=now, after=_facts(new))
    with change(store, actor, "registry:write", said) as session:
        row = session.get(DataVersionRow, data.name)
        if row is not None:
            old = repositories.as_data_version(row)
            _same_or_refuse("data version", data.name, _facts(old), _facts(new))
            return old
        session.add(DataVersionRow(**vars(new)))
        audit_log.append(session, said)
        return new


def data_versions(store: Store, actor: Actor) -> list[DataVersion]:
    """Every data version, newest first."""
    insist(actor, "registry:read")
    newest_first = select(DataVersionRow).order_by(col(DataVersionRow.registered_at).desc(), col(DataVersionRow.name))
    with store.reading() as session:
        return [repositories.as_data_version(row) for row in session.scalars(newest_first)]


# -- versions -------------------------------------------------------------------------------------


def register_version(store: Store, actor: Actor, version: Version, *, now: datetime) -> Version:
    """Register a version; FloatingModel, with the reason and known pins, when its model id can move."""
    checked_name("a version", version.name)
    _check_version(version)
    version = replace(
        version,
        parameters=_plain_parameters(version.parameters),
        data_versions=tuple(dict.fromkeys(version.data_versions)),
    )
    attempted = event(actor, "version.registered", f"version:{version.name}", now=now)
    with change(store, actor, "registry:write", attempted) as session:
        row = session.get(VersionRow, version.name)
        if row is not None:
            [old] = repositories.versions_of(session, [row])
            # What the pinning rules of today say makes no difference to what was registered.
            _same_or_refuse("version", version.name, _chosen(old), _chosen(version))
            return old
        new = _ruled_version(session, replace(version, registered_at=now, registered_by=actor.name))
        repositories.add_version(session, new)
        audit_log.append(session, event(actor, "version.registered", f"version:{new.name}", now=now, after=_facts(new)))
        return new


def _check_version(version: Version) -> None:
    if not version.model_id or len(version.model_id) > 256 or version.model_id != version.model_id.strip():
        raise InvalidInput("A version needs the provider's exact model id, without blanks around it.")
    checked_text("A model id", version.model_id, most=256)
    for amount in (version.price.input_microdollars, version.price.output_microdollars):
        if amount is not None and not 0 <= amount <= MAX_NUMBER:
            raise InvalidInput(f"A price is 0 to {MAX_NUMBER} micro-dollars per million tokens.")
    if len(version.data_versions) > MAX_DATA_VERSIONS:
        raise InvalidInput(f"A version is built with at most {MAX_DATA_VERSIONS} data versions.")
    checked_text("A note", version.notes, most=MAX_NOTES)


def _plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they will come back from the store; InvalidInput for what is no JSON or not a version's to set."""
    taken = BUNDLE_MAY_NOT_SET & parameters.keys()
    if taken:
        raise InvalidInput(f"Parameters of a version cannot set {', '.join(sorted(taken))}: these are the caller's.")
    try:
        text = json.dumps(dict(parameters), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as fault:
        raise InvalidInput(f"Parameters must be JSON values: {fault}.") from fault
    if len(text) > MAX_PARAMETERS or not is_storable(text):
        raise InvalidInput(f"Parameters have at most {MAX_PARAMETERS} characters as JSON, all of them whole.")
    plain: dict[str, Any] = json.loads(text)
    return plain


def _ruled_version(session: Session, version: Version) -> Version:
    provider = repositories.provider(session, version.provider)
    if version.prompt is not None:
        repositories.prompt(session, version.prompt)
    for name in version.data_versions:
        repositories.data_version(session, name)
    ruling = classify(provider.kind, version.model_id)
    if ruling.pin_class is PinClass.FLOATING:
        known = f" Pinned ids known for it: {', '.join(ruling.pins)}." if ruling.pins else ""
        raise FloatingModel(f"{version.model_id} is floating: {ruling.because}. Nothing was registered.{known}")
    return replace(version, pin_class=ruling.pin_class.value, pin_because=ruling.because)


def versions(store: Store, actor: Actor) -> list[Version]:
    """Every version, newest first."""
    insist(actor, "registry:read")
    with store.reading() as session:
        return repositories.versions(session)


def version(store: Store, actor: Actor, name: str) -> Version:
    """One version; UnknownVersion names the nearest."""
    insist(actor, "registry:read")
    with store.reading() as session:
        return repositories.version(session, name)


def note(store: Store, actor: Actor, name: str, notes: str, *, now: datetime) -> Version:
    """Replace the notes of a version, the only part of it that may change."""
    checked_text("A note", notes, most=MAX_NOTES)
    attempted = event(actor, "version.noted", f"version:{name}", now=now)
    with change(store, actor, "registry:write", attempted) as session:
        old = repositories.version(session, name)
        if old.notes == notes:
            raise NothingToChange(f"The notes of {name} already say this.")
        session.get_one(VersionRow, name).notes = notes
        said = event(
            actor, "version.noted", f"version:{name}", now=now, before={"notes": old.notes}, after={"notes": notes}
        )
        audit_log.append(session, said)
        return replace(old, notes=notes)


def add_issue(store: Store, actor: Actor, name: str, text: str, *, now: datetime) -> KnownIssue:
    """Put something wrong with a version on its record."""
    checked_text("A known issue", text, least=1, most=MAX_NOTES)
    if not text.strip():
        raise InvalidInput("A known issue is described in more than blanks.")
    said = event(actor, "version.issue_added", f"version:{name}", now=now, after={"issue": text})
    with change(store, actor, "registry:write", said) as session:
        repositories.version(session, name)
        row = KnownIssueRow(version=name, text=text, added_at=now, added_by=actor.name)
        session.add(row)
        session.flush()
        audit_log.append(session, said)
        return repositories.as_issue(row)


def resolve_issue(store: Store, actor: Actor, issue: int, *, now: datetime) -> KnownIssue:
    """Say that a known issue no longer holds; it stays on the record."""
    attempted = event(actor, "version.issue_resolved", f"known_issue:{issue}", now=now)
    with change(store, actor, "registry:write", attempted) as session:
        row = session.get(KnownIssueRow, issue) if 0 < issue < 2**31 else None
        if row is None:
            raise NotFound(f"There is no known issue {issue}.")
        if row.resolved_at is not None:
            raise NothingToChange(f"Known issue {issue} was resolved by {row.resolved_by} already.")
        row.resolved_at, row.resolved_by = now, actor.name
        said = event(actor, "version.issue_resolved", f"version:{row.version}", now=now, after={"issue": row.text})
        audit_log.append(session, said)
        return repositories.as_issue(row)


def issues(store: Store, actor: Actor, name: str | None = None) -> Sequence[KnownIssue]:
    """Known issues (of one version), open ones first, then newest first."""
    insist(actor, "registry:read")
    query = select(KnownIssueRow).order_by(col(KnownIssueRow.resolved_at).is_not(None), col(KnownIssueRow.id).desc())
    if name is not None:
        query = query.where(col(KnownIssueRow.version) == name)
    with store.reading() as session:
        return [repositories.as_issue(row) for row in session.scalars(query)]


# -- what they share ------------------------------------------------------------------------------


def _facts(thing: DataVersion | Version) -> dict[str, object]:
    """What was registered, as JSON values, without who and when."""
    facts: dict[str, object] = {}
    for key, value in vars(thing).items():
        if key in ("registered_at", "registered_by", "notes"):
            continue
        facts[key] = _plain(value)
    return facts


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        return dict(vars(value))
    return dict(value) if hasattr(value, "keys") else value  # type: ignore[call-overload]


def _chosen(version: Version) -> dict[str, object]:
    """What was chosen for a version, without what the pinning rules said about it."""
    return {key: value for key, value in _facts(version).items() if not key.startswith("pin_")}


def _same_or_refuse(kind: str, name: str, old: Mapping[str, object], new: Mapping[str, object]) -> None:
    differs = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if differs:
        raise AlreadyExists(
            f"There is a {kind} {name} already, with another {', '.join(differs)}. Registered things never change: "
            "choose another name."
        )
