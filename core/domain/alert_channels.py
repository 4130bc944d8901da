"""Where alerts are sent: the kinds of channel, what each needs, who is told what, and how often it is tried again.

A channel is kept without any secret: what is secret, be it a whole address, is the *name* of an environment variable
of the scheduler's process.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from core.domain.alerts import TOLD, Alert, Did, Severity
from core.domain.names import checked_slug, checked_text, no_such
from core.domain.versions import OUR_VARIABLES
from core.errors import InvalidInput

MOST_ATTEMPTS = 10
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
MAX_ADDRESS = 500
MAX_RECIPIENTS = 20

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_MAILBOX = re.compile(r"[^@\s<>,;\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class ChannelKind:
    """A kind of channel: which fields it must have, which it may have, and which addresses it takes."""

    name: str
    meaning: str
    needs: frozenset[str]
    may: frozenset[str] = frozenset()
    schemes: frozenset[str] = frozenset({"https", "http"})
    either: frozenset[str] = frozenset()


CHANNEL_KINDS: tuple[ChannelKind, ...] = (
    ChannelKind(
        "webhook",
        "a JSON document to an address of yours, signed with HMAC-SHA256",
        frozenset({"secret_env"}),
        either=frozenset({"url", "url_env"}),
    ),
    ChannelKind("slack", "a message through a Slack incoming webhook", frozenset({"url_env"})),
    ChannelKind(
        "pagerduty",
        "events in the form of PagerDuty's Events API v2",
        frozenset({"secret_env"}),
        may=frozenset({"url"}),
    ),
    ChannelKind(
        "email",
        "a mail by SMTP",
        frozenset({"url", "sender", "recipients"}),
        may=frozenset({"user_env", "secret_env"}),
        schemes=frozenset({"smtp", "smtps"}),
    ),
    ChannelKind("apprise", "any service that Apprise knows (optional extra `alerts`)", frozenset({"url_env"})),
)
"""Every kind of channel. A new one is a line here and a sender in ``core.connectors.alert_channels``."""

_KINDS = {kind.name: kind for kind in CHANNEL_KINDS}
FIELDS = ("url", "url_env", "secret_env", "user_env", "sender", "recipients")
"""What a kind may need or take."""


@dataclass(frozen=True)
class Channel:
    """Somewhere alerts are sent. ``escalations_only`` is told nothing until nobody acknowledged an alert in time."""

    name: str
    kind: str
    url: str | None = None
    url_env: str | None = None
    secret_env: str | None = None
    user_env: str | None = None
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    least: Severity = Severity.WARNING
    escalations_only: bool = False
    enabled: bool = True


@dataclass(frozen=True)
class Notice:
    """What a channel is told: one change of one alert. ``event_id`` is the same however often it is sent.

    A test has no alert.
    """

    event_id: str
    event: str
    at: datetime
    by: str
    reason: str
    link: str
    alert: Alert | None = None


# -- checking -------------------------------------------------------------------------------------


def checked_channel(channel: Channel) -> Channel:
    """``channel`` if it can be kept; InvalidInput says what is missing, too much, or no address."""
    checked_slug("an alert channel", channel.name)
    kind = _KINDS.get(channel.kind)
    if kind is None:
        raise InvalidInput(f"{no_such('kind of channel', channel.kind, _KINDS)} Kinds are {', '.join(_KINDS)}.")
    given = {name for name in FIELDS if getattr(channel, name)}
    _check_fields(kind, given)
    for name in ("url_env", "secret_env", "user_env"):
        variable = getattr(channel, name)
        # Capitals only: a secret given by mistake has small letters or a dash, and is neither kept nor repeated.
        if variable is not None and not _VARIABLE.fullmatch(variable):
            raise InvalidInput(
                f"{name} names an environment variable in capitals, such as ALERTS_SECRET. Give the variable's name, "
                "never what it holds."
            )
        if variable is not None and variable.startswith(OUR_VARIABLES):
            raise InvalidInput(f"{variable} is Pinrail's own, and what it holds is sent to nobody.")
    if channel.url is not None:
        check_address(channel.kind, checked_text("An address", channel.url, least=1, most=MAX_ADDRESS), kept=True)
    _check_mailboxes(channel)
    return channel


def _check_fields(kind: ChannelKind, given: set[str]) -> None:
    if kind.either and len(kind.either & given) != 1:
        raise InvalidInput(f"A {kind.name} channel needs {' or '.join(sorted(kind.either))}, and only one of them.")
    missing = kind.needs - given
    if missing:
        raise InvalidInput(f"A {kind.name} channel needs {', '.join(sorted(missing))}.")
    surplus = given - kind.needs - kind.may - kind.either
    if surplus:
        raise InvalidInput(f"A {kind.name} channel has no {', '.join(sorted(surplus))}.")
    if kind.name == "email" and ("user_env" in given) != ("secret_env" in given):
        raise InvalidInput("To sign in to a mail server takes both user_env and secret_env.")


def _check_mailboxes(channel: Channel) -> None:
    if len(channel.recipients) > MAX_RECIPIENTS:
        raise InvalidInput(f"A channel has at most {MAX_RECIPIENTS} recipients; use a mailing list.")
    for mailbox in (*((channel.sender,) if channel.sender else ()), *channel.recipients):
        if not _MAILBOX.fullmatch(mailbox):
            raise InvalidInput(f"{mailbox[:80]!r} is no mail address; one looks like oncall@example.com.")


def check_address(kind: str, url: str, *, kept: bool) -> None:
    """Refuse what is no address for a channel of ``kind``, without repeating it: it may hold a secret.

    One that is ``kept`` in the store has no room for secrets; one from the environment has.
    """
    if kind == "apprise":
        return  # its addresses have a hundred schemes of their own
    schemes = _KINDS[kind].schemes
    example = "smtp://mail.example.com:587" if "smtp" in schemes else "https://alerts.example.com/hook"
    try:
        address = urlsplit(url)
        host, usable = address.hostname, address.scheme in schemes and address.port != 0
    except ValueError:
        host, usable = None, False
    if not usable or not host or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidInput(f"That is no address for a {kind} channel; one looks like {example}.")
    if kept and (address.username or address.password or address.query or address.fragment):
        raise InvalidInput("A kept address carries no user, password, query or fragment: use url_env for a secret one.")
    if _leads_nowhere(host):
        raise InvalidInput(f"{host} is no host to send alerts to: it is link-local, multicast or unspecified.")
    if kind in ("slack", "pagerduty") and address.scheme != "https" and not is_loopback(host):
        raise InvalidInput(f"A {kind} channel sends a secret along, so its address begins with https.")


def _leads_nowhere(host: str) -> bool:
    """Link-local addresses hold a cloud's own metadata, which no alert has any business with."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_link_local or address.is_multicast or address.is_unspecified


def is_loopback(host: str) -> bool:
    """This very machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# -- who is told what, and when -------------------------------------------------------------------


def is_told(channel: Channel, alert: Alert, did: Did, *, heard: bool, now: datetime) -> bool:
    """Is ``channel`` told that this happened to ``alert``, which is as it is after it?

    Whoever ``heard`` of the alert hears that it was taken or is over, a silence or not; nobody else does.
    """
    if not channel.enabled or did not in TOLD:
        return False
    if did in (Did.ACKNOWLEDGED, Did.RESOLVED):
        return heard
    if alert.is_silent(now):
        return False
    if channel.least is Severity.CRITICAL and alert.severity is not Severity.CRITICAL:
        return False
    return not channel.escalations_only or alert.escalated_at is not None


def next_attempt(attempts: int, *, now: datetime) -> datetime | None:
    """When to try again after so many failed ones; None when that is enough."""
    if attempts >= MOST_ATTEMPTS:
        return None
    doubled_s = FIRST_PAUSE.total_seconds() * 2 ** max(0, attempts - 1)
    return now + min(timedelta(seconds=doubled_s), LONGEST_PAUSE)
