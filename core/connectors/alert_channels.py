"""Whoever alerts are sent to: a signed webhook, Slack, PagerDuty's events, mail, and what Apprise knows.

Secrets are read from the environment at every sending, so that a rotated one needs no restart where the environment
can change, and never stand in a message of ours. Redirects are not followed: an address is where it says.
"""

import hmac
import importlib
import json
import os
import smtplib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import requests

from core.domain.alert_channels import Channel, Notice, check_address, is_loopback
from core.domain.alerts import Severity
from core.errors import DeliveryFailed, InvalidInput, MissingSecret
from core.ports import AlertChannel

CONNECT_WITHIN_S, ANSWER_WITHIN_S = 5.0, 10.0
SIGNATURE = "x-pinrail-signature"
TIMESTAMP = "x-pinrail-timestamp"
EVENT_ID = "x-pinrail-event-id"
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


# -- what is told ---------------------------------------------------------------------------------


def document(notice: Notice) -> dict[str, Any]:
    """The notice as JSON values: the same every time it is sent."""
    about = notice.alert
    return {
        "event_id": notice.event_id,
        "event": notice.event,
        "at": _time(notice.at),
        "by": notice.by,
        "reason": notice.reason,
        "link": notice.link,
        "alert": None
        if about is None
        else {
            "id": about.id,
            "key": about.key,
            "watch": about.watch,
            "severity": about.severity.value,
            "title": about.title,
            "because": about.because,
            "alias": about.alias,
            "owner": about.owner,
            "opened_at": _time(about.opened_at),
        },
    }


def headline(notice: Notice) -> str:
    """One line that says it all."""
    if notice.alert is None:
        return f"Pinrail: a test, asked for by {notice.by}"
    what = notice.event.removeprefix("alert.")
    return f"[{notice.alert.severity}] {notice.alert.title} ({what})"


def lines(notice: Notice) -> list[str]:
    """What there is to say below the headline."""
    about = notice.alert
    if about is None:
        return ["If you read this, alerts reach you here.", notice.link]
    who = f"{notice.event.removeprefix('alert.').capitalize()} by {notice.by} at {notice.at:%Y-%m-%d %H:%M:%S} UTC"
    why = f": {notice.reason}" if notice.reason and notice.reason != about.because else ""
    return [
        f"{about.because[:1].upper()}{about.because[1:]}.",
        f"{who}{why}.",
        f"Owner: {about.owner or 'no one yet'}. Alert {about.id}.",
        notice.link,
    ]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- signed webhook -------------------------------------------------------------------------------


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over ``timestamp.body``, in hexadecimal."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()


class Webhook:
    """Posts the notice as JSON, signed."""

    def send(self, channel: Channel, notice: Notice, *, now: datetime) -> str:
        """Tell the channel."""
        secret = _secret(channel, "secret_env")
        body = json.dumps(document(notice), ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = str(int(now.timestamp()))
        headers = {
            "content-type": "application/json",
            EVENT_ID: notice.event_id,
            TIMESTAMP: timestamp,
            SIGNATURE: f"v1={signature(secret, timestamp, body)}",
        }
        return _posted(channel, _address(channel), body, headers)


# -- Slack ----------------------------------------------------------------------------------------


class Slack:
    """Posts a message to an incoming webhook."""

    def send(self, channel: Channel, notice: Notice, *, now: datetime) -> str:
        """Tell the channel."""
        text = "\n".join([f"*{_slack(headline(notice))}*", *map(_slack, lines(notice))])
        body = json.dumps({"text": text}, ensure_ascii=False).encode()
        return _posted(channel, _address(channel), body, {"content-type": "application/json"})


def _slack(text: str) -> str:
    """``text`` with the three characters spelt out by which Slack knows links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# -- PagerDuty ------------------------------------------------------------------------------------

_ACTIONS: Mapping[str, str] = {
    "alert.raised": "trigger",
    "alert.escalated": "trigger",
    "alert.acknowledged": "acknowledge",
    "alert.resolved": "resolve",
}


class PagerDuty:
    """Sends events whose dedup key is the alert's, so that one alert is one incident however often it is told."""

    def send(self, channel: Channel, notice: Notice, *, now: datetime) -> str:
        """Tell the channel. A test is triggered as information and resolved at once."""
        if notice.alert is not None:
            return self._event(channel, notice, _ACTIONS[notice.event])
        self._event(channel, notice, "trigger")
        return self._event(channel, notice, "resolve")

    def _event(self, channel: Channel, notice: Notice, action: str) -> str:
        about = notice.alert
        told: dict[str, Any] = {
            "routing_key": _secret(channel, "secret_env"),
            "event_action": action,
            "dedup_key": f"pinrail-alert-{about.id}-{about.key}"[:255] if about else f"pinrail-{notice.event_id}",
        }
        if action == "trigger":
            told["payload"] = {
                "summary": headline(notice)[:1024],
                "source": (about.alias if about else None) or "pinrail",
                "severity": about.severity.value if about else "info",
                "timestamp": _time(notice.at),
                "class": about.watch if about else "test",
                "custom_details": document(notice),
            }
            told["links"] = [{"href": notice.link, "text": "Open in Pinrail"}]
        return _posted(channel, _address(channel, PAGERDUTY), json.dumps(told).encode(), {
            "content-type": "application/json",
        })  # fmt: skip


# -- mail -----------------------------------------------------------------------------------------


class Email:
    """Sends a mail by SMTP, encrypted wherever the server offers it."""

    def send(self, channel: Channel, notice: Notice, *, now: datetime) -> str:
        """Tell the channel."""
        url = _address(channel)
        where = urlsplit(url)
        host, secure = where.hostname or "", where.scheme == "smtps"
        try:
            with _smtp(host, where.port or (465 if secure else 25), secure=secure) as server:
                _prepare(server, channel, host, secure=secure)
                refused = server.send_message(_mail(channel, notice))
        except (smtplib.SMTPException, OSError, UnicodeError) as fault:
            raise DeliveryFailed(f"{channel.name}: {_spoken(fault)}.") from fault
        if refused:
            raise DeliveryFailed(f"{channel.name}: the server refused {', '.join(sorted(refused))}.")
        return f"taken for {len(channel.recipients)} recipient{'s' if len(channel.recipients) > 1 else ''}"


def _smtp(host: str, port: int, *, secure: bool) -> smtplib.SMTP:
    if secure:
        return smtplib.SMTP_SSL(host, port, timeout=ANSWER_WITHIN_S, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=ANSWER_WITHIN_S)


def _prepare(server: smtplib.SMTP, channel: Channel, host: str, *, secure: bool) -> None:
    server.ehlo()
    if not secure and server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
        server.ehlo()
        secure = True
    if channel.user_env is None:
        return
    if not secure and not is_loopback(host):
        raise DeliveryFailed(f"{channel.name}: the server offers no encryption, and a password is not sent without.")
    server.login(_secret(channel, "user_env"), _secret(channel, "secret_env"))


def _mail(channel: Channel, notice: Notice) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = " ".join(headline(notice).split())
    mail["From"] = channel.sender or ""
    mail["To"] = ", ".join(channel.recipients)
    mail["Date"] = format_datetime(notice.at)
    mail["Message-ID"] = f"<{notice.event_id}@pinrail.invalid>"  # the same when it is sent again
    if notice.alert is not None:
        thread = f"<alert-{notice.alert.id}@pinrail.invalid>"
        mail["References"] = thread
        mail["X-Priority"] = "1" if notice.alert.severity is Severity.CRITICAL else "3"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([headline(notice), "", *lines(notice), ""]))
    return mail


def _spoken(fault: Exception) -> str:
    if isinstance(fault, smtplib.SMTPResponseException):
        said = fault.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"the server answered {fault.smtp_code} {' '.join(text.split())[:200]}"
    if isinstance(fault, smtplib.SMTPRecipientsRefused):
        return f"the server refused {', '.join(sorted(fault.recipients))}"
    if isinstance(fault, TimeoutError):
        return f"the server did not answer within {ANSWER_WITHIN_S:g} s"
    return f"the server could not be talked to ({type(fault).__name__})"


# -- Apprise --------------------------------------------------------------------------------------


class Apprise:
    """Hands the notice to Apprise, which knows a hundred services; it comes with the extra ``alerts``."""

    def send(self, channel: Channel, notice: Notice, *, now: datetime) -> str:
        """Tell the channel."""
        url = _address(channel)
        try:
            apprise = importlib.import_module("apprise")
        except ImportError as fault:
            raise DeliveryFailed(f"{channel.name}: Apprise is not installed: pip install 'pinrail[alerts]'.") from fault
        told = apprise.Apprise()
        if not told.add(url):
            raise DeliveryFailed(f"{channel.name}: {channel.url_env} holds no address that Apprise knows.")
        if not told.notify(title=headline(notice), body="\n".join(lines(notice))):
            raise DeliveryFailed(f"{channel.name}: Apprise could not deliver it.")
        return "taken by Apprise"


SENDERS: Mapping[str, AlertChannel] = {
    "webhook": Webhook(),
    "slack": Slack(),
    "pagerduty": PagerDuty(),
    "email": Email(),
    "apprise": Apprise(),
}
"""Who sends for which of ``CHANNEL_KINDS``."""


# -- what they share ------------------------------------------------------------------------------


def _secret(channel: Channel, field: str) -> str:
    """What the environment variable holds that ``field`` names."""
    variable = getattr(channel, field)
    value = os.environ.get(variable or "", "").strip()
    if not value:
        raise MissingSecret(
            f"{channel.name} needs the environment variable {variable}, which is not set in the scheduler's process."
        )
    return value


def _address(channel: Channel, otherwise: str | None = None) -> str:
    """Where to send: what is kept, what the environment holds, or a kind's own address."""
    if channel.url_env is None:
        return channel.url or otherwise or ""
    url = _secret(channel, "url_env")
    try:
        check_address(channel.kind, url, kept=False)
    except InvalidInput as fault:
        raise DeliveryFailed(f"{channel.name}: what {channel.url_env} holds cannot be used. {fault}") from fault
    return url


def _posted(channel: Channel, url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Post, and return what was answered; DeliveryFailed for everything but success, without the address in it."""
    with requests.Session() as session:
        if is_loopback(urlsplit(url).hostname or ""):
            session.trust_env = False  # no proxy stands between this machine and itself
        try:
            answer = session.post(
                url,
                data=body,
                headers={"user-agent": "pinrail", **headers},
                timeout=(CONNECT_WITHIN_S, ANSWER_WITHIN_S),
                allow_redirects=False,
                stream=True,  # an answer's body may be of any size, and is not read
            )
        except requests.exceptions.Timeout as fault:
            raise DeliveryFailed(f"{channel.name} did not answer within {ANSWER_WITHIN_S:g} s.") from fault
        except requests.exceptions.RequestException as fault:
            raise DeliveryFailed(f"{channel.name} could not be reached ({type(fault).__name__}).") from fault
        status = answer.status_code
        answer.close()
    if answer.is_redirect:
        raise DeliveryFailed(f"{channel.name} answered {status}, a redirect, which is not followed.")
    if not 200 <= status < 300:
        raise DeliveryFailed(f"{channel.name} answered {status}.")
    return f"answered {status}"
