"""Each kind of channel says what it must, in the form its receiver reads; over real HTTP."""

import json
import sys
import types
from datetime import UTC, datetime
from typing import Any

import pytest

from core.connectors.alert_channels import SENDERS
from core.domain.alert_channels import CHANNEL_KINDS, Channel, Notice
from core.domain.alerts import Alert, Severity
from core.errors import DeliveryFailed, MissingSecret
from tests.alerts.receiver import Hook

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALERT = Alert(
    7, "alias-degraded:chat", "alias-degraded", Severity.CRITICAL, "chat <b> & is degraded", "errors 30 %", "chat",
    "dana", "/alias?name=chat", NOON,
)  # fmt: skip
LINK = "https://pinrail.example.com/alias?name=chat"
GIVEN: dict[str, dict[str, Any]] = {
    "webhook": {"url_env": "CHANNEL_URL", "secret_env": "CHANNEL_SECRET"},
    "slack": {"url_env": "CHANNEL_URL"},
    "pagerduty": {"secret_env": "CHANNEL_SECRET"},
    "email": {"url": "smtp://127.0.0.1:9", "sender": "p@example.com", "recipients": ("o@example.com",)},
    "apprise": {"url_env": "CHANNEL_URL"},
}


def notice(event: str = "alert.raised", alert: Alert | None = ALERT) -> Notice:
    return Notice("e" * 32, event, NOON, "ann", "because", LINK, alert)


def send(kind: str, what: Notice, **given: Any) -> str:
    return SENDERS[kind].send(Channel("c", kind, **{**GIVEN[kind], **given}), what, now=NOON)


@pytest.mark.parametrize("kind", ["webhook", "slack", "pagerduty", "apprise"])
def test_without_its_variable_nothing_is_sent_and_the_refusal_names_it(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CHANNEL_URL", raising=False)
    monkeypatch.delenv("CHANNEL_SECRET", raising=False)
    with pytest.raises(MissingSecret, match=r"CHANNEL_\w+, which is not set in the scheduler's process"):
        send(kind, notice())


@pytest.mark.parametrize("kind", [kind.name for kind in CHANNEL_KINDS if kind.name != "apprise"])
def test_who_cannot_be_reached_is_told_of_without_address_or_secret(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHANNEL_URL", "http://127.0.0.1:9/T0PSECRET")
    monkeypatch.setenv("CHANNEL_SECRET", "T0PSECRET")
    with pytest.raises(DeliveryFailed) as refusal:
        send(kind, notice(), **({"url": "http://127.0.0.1:9"} if kind == "pagerduty" else {}))
    assert "T0PSECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "http://169.254.169.254/", "not an address", "http://hooks.example"]
)
def test_an_address_from_the_environment_is_checked_too_and_never_repeated(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHANNEL_URL", url)
    with pytest.raises(DeliveryFailed, match="what CHANNEL_URL holds cannot be used"):
        send("slack", notice())


def test_slack_gets_a_text_whose_marks_are_spelt_out(hook: Hook, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHANNEL_URL", f"{hook.url}/services/T000/B000/XXX")
    assert send("slack", notice()) == "answered 200"
    told = json.loads(hook.requests[0][1])["text"]
    assert told.startswith("*[critical] chat &lt;b&gt; &amp; is degraded (raised)*\nErrors 30 %.\n")
    assert told.endswith(LINK)


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("alert.raised", "trigger"),
        ("alert.escalated", "trigger"),
        ("alert.acknowledged", "acknowledge"),
        ("alert.resolved", "resolve"),
    ],
)
def test_pagerduty_gets_one_incident_for_one_alert(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, event: str, action: str
):
    monkeypatch.setenv("CHANNEL_SECRET", "routing-key")
    send("pagerduty", notice(event), url=hook.url)
    told = json.loads(hook.requests[0][1])
    assert (told["routing_key"], told["event_action"]) == ("routing-key", action)
    assert told["dedup_key"] == "pinrail-alert-7-alias-degraded:chat"
    if action == "trigger":
        assert told["payload"]["severity"] == "critical"
        assert told["payload"]["source"] == "chat"
        assert told["links"] == [{"href": LINK, "text": "Open in Pinrail"}]


def test_a_test_wakes_nobody_for_long_at_pagerduty(hook: Hook, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHANNEL_SECRET", "routing-key")
    send("pagerduty", notice("test", None), url=hook.url)
    told = [json.loads(body) for _headers, body in hook.requests]
    assert [one["event_action"] for one in told] == ["trigger", "resolve"]
    assert told[0]["payload"]["severity"] == "info"
    assert len({one["dedup_key"] for one in told}) == 1


def test_apprise_is_named_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHANNEL_URL", "json://127.0.0.1")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(DeliveryFailed, match=r"pip install 'pinrail\[alerts\]'"):
        send("apprise", notice())


@pytest.mark.parametrize(
    ("knows", "delivers", "why"), [(False, True, "holds no address"), (True, False, "could not deliver")]
)
def test_what_apprise_cannot_do_is_a_failure(monkeypatch: pytest.MonkeyPatch, knows: bool, delivers: bool, why: str):
    class Told:
        def add(self, _url: str) -> bool:
            return knows

        def notify(self, **_what: str) -> bool:
            return delivers

    monkeypatch.setenv("CHANNEL_URL", "json://127.0.0.1")
    monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Told))
    with pytest.raises(DeliveryFailed, match=why):
        send("apprise", notice())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own
def test_apprise_itself_delivers_where_it_is_installed(hook: Hook, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("apprise", reason="Apprise is an optional extra: pip install 'pinrail[alerts]'")
    monkeypatch.setenv("CHANNEL_URL", hook.url.replace("http://", "json://"))
    assert send("apprise", notice()) == "taken by Apprise"
    assert json.loads(hook.requests[0][1])["title"] == "[critical] chat <b> & is degraded (raised)"
