"""What the audit log says: the kinds of event, one event, and the hash that chains it to the one before.

    hash(n) = SHA-256( hash(n-1) + canonical JSON of event n )

So changing, removing, inserting or reordering a row breaks every hash after it; the store also keeps the
head (number and hash of the newest event), so a missing tail is found. Whoever can rewrite the whole
table *and* the head can forge it: note the head elsewhere (``pinrail audit head``) to find that too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

EVENTS: Mapping[str, str] = {
    "alias.created": "an alias was created",
    "alias.flipped": "an alias was moved to another version",
    "alias.rolled_back": "an alias was returned to a version that served it before",
    "alias.undone": "a revision of an alias was undone",
    "alias.held": "automatic steps on an alias were stopped",
    "alias.released": "automatic steps on an alias may go on",
    "alias.described": "description, owner or fallbacks of an alias were edited",
    "alias.protected": "an alias was made protected",
    "alias.unprotected": "an alias was made unprotected",
    "alias.retired": "an alias was retired",
    "evacuation.begun": "aliases are moved off a provider or a version, each by a revision of its own",
    "evacuation.returned": "what an evacuation moved was put back, as far as nothing overtook it",
    "provider.registered": "a provider was registered",
    "provider.changed": "a provider's address, secret variable or description was changed",
    "version.registered": "a version was registered",
    "version.noted": "the notes of a version were edited",
    "version.issue_added": "a known issue was added to a version",
    "version.issue_resolved": "a known issue of a version was resolved",
    "version.quarantined": "a version was quarantined, and got a known issue, when an alias left it",
    "version.quarantine_lifted": "a version may serve again, and the known issue was resolved",
    "prompt.registered": "a prompt version was registered",
    "data_version.registered": "a data version was registered",
    "person.added": "a person was given an account",
    "person.disabled": "an account was disabled and its sessions ended",
    "person.enabled": "an account was enabled again",
    "person.password_set": "a password was set",
    "person.signed_in": "a person signed in, or was refused",
    "person.signed_out": "a session was ended by its person",
    "session.revoked": "a session was ended by somebody else",
    "grant.given": "a person was given a role",
    "grant.taken": "a role was taken from a person",
    "token.created": "an API token was created",
    "token.revoked": "an API token was revoked",
    "caller.created": "a caller key was created",
    "caller.revoked": "a caller key was revoked",
    "alert.raised": "a condition was found and an alert raised",
    "alert.acknowledged": "somebody took an alert",
    "alert.escalated": "nobody acknowledged an alert in time",
    "alert.silenced": "nobody is told of an alert for a while, or a silence was ended",
    "alert.resolved": "an alert ended",
    "alert_channel.added": "an alert channel was added",
    "alert_channel.changed": "an alert channel was changed",
    "alert_channel.removed": "an alert channel was removed",
    "alert_channel.tested": "a test was sent through an alert channel",
    "store.seeded": "the demo workspace was written into an empty store",
    "store.pruned": "expired sessions, attempts and old traffic windows were removed",
    "store.backed_up": "a backup of the whole store was written",
    "store.restored": "a backup was put in the place of the whole store; all before it in this log is the backup's",
}
"""Every kind of audit event and what it says. The outcome of an event is done or refused."""

GENESIS = "0" * 64


@dataclass(frozen=True)
class Event:
    """One thing that was done or refused. ``before`` and ``after`` hold only what changed."""

    kind: str
    subject: str
    actor: str
    actor_kind: str
    at: datetime
    outcome: str = "done"
    reason: str = ""
    via: str | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def chained(seq: int, event: Event, previous_hash: str) -> str:
    """The hash of event number ``seq``, which binds it to all before it."""
    said = {
        "seq": seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "kind": event.kind,
        "subject": event.subject,
        "actor": event.actor,
        "actor_kind": event.actor_kind,
        "via": event.via,
        "outcome": event.outcome,
        "reason": event.reason,
        "before": dict(event.before),
        "after": dict(event.after),
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256(f"{previous_hash}{text}".encode()).hexdigest()
