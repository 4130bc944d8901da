"""The state machine of alerts, by examples and by random stories."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain import alerts
from core.domain.alert_channels import (
    CHANNEL_KINDS,
    LONGEST_PAUSE,
    MOST_ATTEMPTS,
    Channel,
    checked_channel,
    is_told,
    next_attempt,
)
from core.domain.alerts import AGAIN_AFTER, Alert, AlertState, Did, Found, Patience, Severity, Sighting, Step, judged
from core.errors import AlertResolved, InvalidInput, NothingToChange

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FOUND = Found("trouble:x", "x is in trouble", "it is bad")
SLOW = Patience(2 * MINUTE, 5 * MINUTE)


def opened(**given: object) -> Alert:
    made = alerts.raised(FOUND, id=7, watch="trouble", severity=Severity.CRITICAL, now=NOON)
    return Alert(**{**vars(made), **given})


def test_it_must_hold_for_its_patience_before_it_is_raised():
    first = judged(SLOW, FOUND.key, FOUND, None, None, now=NOON)
    assert (first.step, first.sighting) == (Step.NOTHING, Sighting(FOUND.key, NOON, NOON))
    almost = judged(SLOW, FOUND.key, FOUND, first.sighting, None, now=NOON + MINUTE)
    assert almost.step is Step.NOTHING
    assert judged(SLOW, FOUND.key, FOUND, almost.sighting, None, now=NOON + 2 * MINUTE).step is Step.RAISE


def test_a_break_begins_the_count_anew():
    held = judged(SLOW, FOUND.key, FOUND, None, None, now=NOON).sighting
    gone = judged(SLOW, FOUND.key, None, held, None, now=NOON + MINUTE)
    assert gone.sighting is None
    assert judged(SLOW, FOUND.key, FOUND, gone.sighting, None, now=NOON + 2 * MINUTE).step is Step.NOTHING


def test_it_must_be_gone_for_long_enough_before_it_is_resolved():
    seen = Sighting(FOUND.key, NOON, NOON)
    assert judged(SLOW, FOUND.key, None, seen, opened(), now=NOON + 4 * MINUTE).step is Step.NOTHING
    assert judged(SLOW, FOUND.key, None, seen, opened(), now=NOON + 5 * MINUTE).step is Step.RESOLVE


def test_what_cannot_be_told_neither_raises_nor_resolves():
    blind = Found(FOUND.key, blind=True)
    assert judged(Patience(), FOUND.key, blind, None, None, now=NOON).step is Step.NOTHING
    long_ago = Sighting(FOUND.key, NOON - timedelta(days=1), NOON - timedelta(days=1))
    kept = judged(Patience(), FOUND.key, blind, long_ago, opened(), now=NOON)
    assert kept.step is Step.NOTHING
    assert kept.sighting is not None
    assert kept.sighting.last == NOON, "the time in which it could not be told does not count as gone"


def test_what_a_person_resolved_stays_resolved_for_a_while_though_it_holds_on():
    over = alerts.resolved(opened(), by="ann", person=True, now=NOON)
    assert judged(Patience(), FOUND.key, FOUND, None, over, now=NOON + MINUTE).step is Step.NOTHING
    assert judged(Patience(), FOUND.key, FOUND, None, over, now=NOON + AGAIN_AFTER).step is Step.RAISE
    by_itself = alerts.resolved(opened(), by="scheduler", person=False, now=NOON)
    assert judged(Patience(), FOUND.key, FOUND, None, by_itself, now=NOON + MINUTE).step is Step.RAISE


def test_nothing_can_be_done_to_what_is_resolved():
    over = alerts.resolved(opened(), by="ann", person=True, now=NOON)
    for attempt in (
        lambda: alerts.acknowledged(over, by="ben", now=NOON),
        lambda: alerts.resolved(over, by="ben", person=True, now=NOON),
        lambda: alerts.silenced(over, until=NOON + MINUTE, by="ben", now=NOON),
        lambda: alerts.escalated(over, now=NOON),
    ):
        with pytest.raises(AlertResolved, match="Alert 7 was resolved by ann at 2026-11-24 12:00:00 UTC"):
            attempt()


def test_acknowledging_twice_changes_nothing():
    taken = alerts.acknowledged(opened(), by="ann", now=NOON)
    with pytest.raises(NothingToChange, match="acknowledged by ann"):
        alerts.acknowledged(taken, by="ben", now=NOON)


@pytest.mark.parametrize("until", [NOON, NOON - MINUTE, NOON + timedelta(days=31)])
def test_a_silence_ends_and_not_in_the_past(until: datetime):
    with pytest.raises(InvalidInput):
        alerts.silenced(opened(), until=until, by="ann", now=NOON)


def test_a_silence_stops_the_clock_of_the_escalation_which_begins_anew_when_it_ends():
    quiet = alerts.silenced(opened(), until=NOON + 60 * MINUTE, by="ann", now=NOON)
    after = 15 * MINUTE
    assert not alerts.due_escalation(quiet, after=after, now=NOON + 59 * MINUTE)
    assert not alerts.due_escalation(quiet, after=after, now=NOON + 74 * MINUTE)
    assert alerts.due_escalation(quiet, after=after, now=NOON + 75 * MINUTE)


def test_a_silence_of_a_condition_holds_for_its_next_alert_too():
    quiet = alerts.silenced(opened(), until=NOON + 60 * MINUTE, by="ann", now=NOON)
    over = alerts.resolved(quiet, by="scheduler", person=False, now=NOON + MINUTE)
    again = alerts.raised(FOUND, id=8, watch="trouble", severity=Severity.CRITICAL, newest=over, now=NOON + 2 * MINUTE)
    assert again.is_silent(NOON + 59 * MINUTE)
    assert not again.is_silent(NOON + 60 * MINUTE)


# -- random stories -------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["ack", "resolve", "silence", "unsilence", "holds", "gone", "blind"]), st.integers(0, 20)
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(MOVES)
def test_in_every_story_there_is_one_alert_at_a_time_and_its_state_only_goes_forward(moves):
    now, patience, seen = NOON, Patience(2 * MINUTE, 3 * MINUTE), None
    newest: Alert | None = None
    order = list(AlertState)
    for move, minutes in moves:
        now += minutes * MINUTE
        before = newest
        if move in ("holds", "gone", "blind"):
            found = {"holds": FOUND, "gone": None, "blind": Found(FOUND.key, blind=True)}[move]
            step = judged(patience, FOUND.key, found, seen, newest, now=now)
            seen = step.sighting
            if step.step is Step.RAISE:
                assert move == "holds"
                assert newest is None or newest.state is AlertState.RESOLVED, "two alerts of one condition"
                number = newest.id + 1 if newest else 1
                newest = alerts.raised(
                    FOUND, id=number, watch="trouble", severity=Severity.WARNING, newest=newest, now=now
                )
            elif step.step is Step.RESOLVE:
                assert move == "gone"
                assert newest is not None
                newest = alerts.resolved(newest, by="scheduler", person=False, now=now)
        elif newest is not None:
            newest = _tried(newest, move, now)
        if newest is not None and before is not None and newest.id == before.id:
            assert order.index(newest.state) >= order.index(before.state), "an alert went back"
            assert newest.changes - before.changes in (0, 1)
            assert (newest.changes == before.changes) is (newest == before), "a change that was not counted"
        if newest is not None:
            assert (newest.resolved_at is not None) is (newest.state is AlertState.RESOLVED)
            if newest.state is not AlertState.OPEN or newest.is_silent(now):
                assert not alerts.due_escalation(newest, after=MINUTE, now=now)


def _tried(alert: Alert, move: str, now: datetime) -> Alert:
    try:
        if move == "ack":
            return alerts.acknowledged(alert, by="ann", now=now)
        if move == "resolve":
            return alerts.resolved(alert, by="ann", person=True, now=now)
        until = now + 10 * MINUTE if move == "silence" else None
        return alerts.silenced(alert, until=until, by="ann", now=now)
    except (AlertResolved, NothingToChange):
        return alert


# -- who is told ----------------------------------------------------------------------------------

PAGER = Channel("pager", "webhook", "https://x.example.com", secret_env="S")


def told(channel: Channel, alert: Alert, did: Did, *, heard: bool = False) -> bool:
    return is_told(channel, alert, did, heard=heard, now=NOON + MINUTE)


def test_an_escalations_channel_hears_nothing_before_the_escalation():
    boss = Channel("boss", "webhook", "https://x.example.com", secret_env="S", escalations_only=True)
    assert not told(boss, opened(), Did.RAISED)
    assert told(boss, opened(escalated_at=NOON), Did.ESCALATED)
    assert told(PAGER, opened(), Did.RAISED)


def test_a_channel_for_critical_alerts_is_spared_warnings():
    strict = Channel("strict", "webhook", "https://x.example.com", secret_env="S", least=Severity.CRITICAL)
    assert told(strict, opened(), Did.RAISED)
    assert not told(strict, opened(severity=Severity.WARNING), Did.RAISED)


def test_who_heard_of_it_hears_the_end_even_in_a_silence_and_nobody_else_does():
    quiet = opened(silenced_until=NOON + 60 * MINUTE)
    assert not told(PAGER, quiet, Did.RAISED)
    for did in (Did.ACKNOWLEDGED, Did.RESOLVED):
        assert told(PAGER, quiet, did, heard=True)
        assert not told(PAGER, quiet, did, heard=False)
    assert not told(PAGER, opened(), Did.SILENCED, heard=True)


def test_attempts_pause_longer_and_longer_and_end():
    pauses = []
    for attempts in range(1, MOST_ATTEMPTS):
        at = next_attempt(attempts, now=NOON)
        assert at is not None
        pauses.append(at - NOON)
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=10)
    assert max(pauses) == LONGEST_PAUSE
    assert next_attempt(MOST_ATTEMPTS, now=NOON) is None


# -- channels -------------------------------------------------------------------------------------

GOOD: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://alerts.example.com/hook", "secret_env": "S"},
    "slack": {"url_env": "SLACK_URL"},
    "pagerduty": {"secret_env": "PD_KEY"},
    "email": {"url": "smtp://mail.example.com:587", "sender": "p@example.com", "recipients": ("o@example.com",)},
    "apprise": {"url_env": "APPRISE_URL"},
}


@pytest.mark.parametrize("kind", CHANNEL_KINDS, ids=lambda kind: kind.name)
def test_every_kind_takes_what_it_needs_and_misses_what_is_missing(kind):
    good = Channel("c", kind.name, **GOOD[kind.name])
    assert checked_channel(good) == good
    assert kind.needs <= GOOD[kind.name].keys()
    for field in kind.needs | (kind.either & GOOD[kind.name].keys()):
        less = {name: value for name, value in GOOD[kind.name].items() if name != field}
        with pytest.raises(InvalidInput, match=f"A {kind.name} channel needs"):
            checked_channel(Channel("c", kind.name, **less))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://alerts.example.com",
        "https://",
        "https://user:secret@alerts.example.com",
        "https://alerts.example.com/?token=secret",
        "https://alerts.example.com/#secret",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "https://alerts.example.com:0/",
        "https://alerts.example.com:port/",
        "https://alerts example.com/secret",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_cannot_be_kept_is_refused_without_repeating_its_secret(url: str):
    with pytest.raises(InvalidInput) as refusal:
        checked_channel(Channel("c", "webhook", url, secret_env="S"))
    assert "secret" not in str(refusal.value).replace("for a secret one", "").replace("secrets", "")


@pytest.mark.parametrize("given", ["sk-live-12345", "a secret", "lower", "A" * 129])
def test_a_secret_in_place_of_a_variables_name_is_neither_kept_nor_repeated(given: str):
    with pytest.raises(InvalidInput, match="environment variable in capitals") as refusal:
        checked_channel(Channel("c", "webhook", "https://alerts.example.com", secret_env=given))
    assert given not in str(refusal.value)


def test_what_pinrail_keeps_in_its_own_variables_is_sent_to_no_channel():
    ours = "PINRAIL_DATABASE_URL"
    for channel in (
        Channel("c", "webhook", "https://alerts.example.com", secret_env=ours),
        Channel("c", "webhook", url_env=ours, secret_env="S"),
    ):
        with pytest.raises(InvalidInput, match=f"{ours} is Pinrail's own"):
            checked_channel(channel)


def test_what_carries_its_secret_along_does_so_encrypted():
    with pytest.raises(InvalidInput, match="begins with https"):
        checked_channel(Channel("c", "pagerduty", "http://events.example.com", secret_env="S"))
    here = Channel("c", "pagerduty", "http://127.0.0.1:9", secret_env="S")
    assert checked_channel(here) == here


@pytest.mark.parametrize("mailbox", ["oncall", "a@b\nBcc: c@d", "a b@c", "@c", "a@", ""])
def test_what_is_no_mail_address_is_refused(mailbox: str):
    with pytest.raises(InvalidInput):
        checked_channel(Channel("c", "email", "smtp://m.example.com", sender="a@b.c", recipients=(mailbox,)))
