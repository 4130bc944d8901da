"""The page on alerts is whole and true: its watches, channels, headers and numbers are the code's own."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from app.scheduler import JOBS
from app.settings import Settings
from core.connectors.alert_channels import ANSWER_WITHIN_S, EVENT_ID, SENDERS, SIGNATURE, TIMESTAMP, document
from core.domain import alert_channels
from core.domain.alert_channels import CHANNEL_KINDS, ChannelKind, Notice
from core.domain.alerts import AGAIN_AFTER, LONGEST_SILENCE, TOLD, Alert, Severity
from core.services import housekeeping
from core.services.delivering import CLAIM_LASTS
from core.services.watches import WATCHES, Watch
from tests.docs.pages import Page

PAGE = Page("alerts.md")
AT = datetime(2026, 11, 24, 2, 14, tzinfo=UTC)


@pytest.mark.parametrize("watch", WATCHES, ids=lambda watch: watch.name)
def test_every_watch_has_a_heading_its_meaning_and_its_patience(watch: Watch):
    assert watch.name in PAGE.headings
    told = " ".join(PAGE.section(watch.name).split()).lower()
    assert watch.meaning.lower() in told
    severity, raised, resolved = PAGE.rows("Watches")[watch.name]
    assert severity == watch.severity
    spans = (watch.patience.raise_after, watch.patience.resolve_after)
    assert (raised, resolved) == tuple(f"{span / timedelta(minutes=1):g} min" for span in spans)


@pytest.mark.parametrize("kind", CHANNEL_KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_channel_has_a_heading_and_its_fields(kind: ChannelKind):
    assert kind.name in PAGE.headings
    [line] = [line for line in PAGE.section("Channels").splitlines() if line.startswith(f"| `{kind.name}` |")]
    needs, may = (re.findall(r"`(\w+)`", cell) for cell in line.split("|")[2:4])
    assert set(needs) == kind.needs | kind.either
    assert set(may) == kind.may


def test_the_page_names_no_watch_and_no_channel_that_is_not_there():
    assert set(PAGE.rows("Watches")) == {watch.name for watch in WATCHES}
    assert set(PAGE.rows("Channels")) <= {kind.name for kind in CHANNEL_KINDS}


def test_every_kind_of_channel_has_a_sender_and_no_sender_is_without_one():
    assert set(SENDERS) == {kind.name for kind in CHANNEL_KINDS}


def test_no_two_watches_or_kinds_share_a_name():
    assert len({watch.name for watch in WATCHES}) == len(WATCHES)
    assert len({kind.name for kind in CHANNEL_KINDS}) == len(CHANNEL_KINDS)


def test_the_example_of_a_notice_has_the_fields_of_a_real_one():
    [example] = re.findall(r"```json\n(.*?)```", PAGE.section("webhook"), re.DOTALL)
    alert = Alert(7, "k", "alias-degraded", Severity.CRITICAL, "t", "b", "prod-chat", "dana", "/", AT)
    real = document(Notice("id", "alert.raised", AT, "scheduler", "", "https://x", alert))
    told = json.loads(example)
    assert (list(told), list(told["alert"])) == (list(real), list(real["alert"]))
    assert told["at"] == real["at"]


def test_every_header_and_event_is_documented():
    assert set(PAGE.rows("webhook")) == {EVENT_ID, TIMESTAMP, SIGNATURE}
    told = PAGE.section("webhook")
    assert {f"alert.{did}" for did in TOLD} == set(re.findall(r"`(alert\.\w+)`", told))


def test_the_check_of_a_signature_on_the_page_is_right():
    from core.connectors.alert_channels import signature

    [code] = re.findall(r"```python\n(.*?)```", PAGE.section("webhook"), re.DOTALL)
    names: dict[str, object] = {"hmac": __import__("hmac")}
    exec(code, names)  # noqa: S102  # the page's own example
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    headers = {TIMESTAMP: "1000", SIGNATURE: f"v1={signature('s', '1000', b'{}')}"}
    assert is_genuine("s", headers, b"{}", 1200.0)
    assert not is_genuine("s", headers, b"{ }", 1200.0)
    assert not is_genuine("t", headers, b"{}", 1200.0)
    assert not is_genuine("s", headers, b"{}", 1301.0)


def test_the_numbers_in_the_text_are_those_of_the_code():
    states, told = PAGE.section("From open to resolved"), PAGE.section("Deliveries")
    assert f"after {AGAIN_AFTER.seconds // 60} minutes" in states
    assert f"for {LONGEST_SILENCE.days} days at most" in states
    assert f"({Settings.model_fields['escalate_after_min'].default:g} if not set)" in states
    every = next(job.every for job in JOBS if job.name == "deliver-alerts")
    assert f"every {every.seconds} seconds" in told
    first, longest = alert_channels.FIRST_PAUSE, alert_channels.LONGEST_PAUSE
    assert f"after {first.seconds} s, {2 * first.seconds} s, {4 * first.seconds} s" in told
    assert f"up to {longest.seconds // 60} min, {alert_channels.MOST_ATTEMPTS} times in all" in told
    assert f"claimed for {CLAIM_LASTS.seconds // 60} minutes" in told
    assert f"kept for {housekeeping.KEEP_DELIVERIES.days} days" in told
    assert f"within {ANSWER_WITHIN_S:g} seconds" in PAGE.section("webhook")
