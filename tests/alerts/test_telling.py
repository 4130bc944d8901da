"""From a condition to a webhook that was told of it: on both stores, over real HTTP."""

import json
import multiprocessing
import os
import signal
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.connectors import alert_channels as senders
from core.connectors.alert_channels import EVENT_ID, SENDERS, SIGNATURE, TIMESTAMP, signature
from core.domain.alert_channels import MOST_ATTEMPTS, Channel
from core.domain.alerts import AlertState, Patience, Severity
from core.domain.permissions import Actor, ActorKind, Grant, Role
from core.errors import AlreadyExists, InvalidInput, NothingToChange, NotPermitted
from core.ports import AlertChannel
from core.services import alerting, channels, delivering
from core.services.delivering import CLAIM_LASTS
from core.store import alerts as rows
from core.store.database import open_store
from core.store.tables import AuditRow
from tests.alerts.receiver import Hook, mail_server, webhook
from tests.alerts.stage import BASE_URL, NOON, ROOT, SCHEDULER, SECRET, SECRET_ENV, Stage
from tests.clocks import SetClock

MINUTE = timedelta(minutes=1)


def audit_kinds(stage: Stage) -> list[str]:
    with stage.store.reading() as session:
        return list(session.scalars(select(col(AuditRow.kind)).order_by(col(AuditRow.seq))))


# -- one alert per condition ----------------------------------------------------------------------


def test_one_condition_is_one_alert_however_often_it_is_found(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    for _ in range(5):
        stage.look(minutes=1)
        stage.deliver()
    [alert] = stage.alerts()
    assert (alert.state, alert.title, alert.owner) == (AlertState.OPEN, "x is in trouble", "dana")
    assert hook.events == ["alert.raised"]


def test_what_is_over_is_resolved_and_what_returns_is_a_new_alert(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    stage.is_over()
    stage.look(minutes=1)
    stage.holds()
    stage.look(minutes=1)
    stage.deliver()
    assert hook.events == ["alert.raised", "alert.resolved", "alert.raised"]
    assert [d["alert"]["id"] for d in hook.documents] == [1, 1, 2]
    assert len(set(hook.event_ids)) == 3


def test_a_figure_that_hovers_around_its_limit_pages_nobody_twice(stage: Stage, hook: Hook):
    stage.patience, stage.escalate_after = Patience(2 * MINUTE, 5 * MINUTE), timedelta(days=1)
    stage.channel("pager", hook.url)
    for minute in range(40):
        if minute % 4 == 3 and stage.holding:
            stage.is_over()
        else:
            stage.holds()
        stage.look(minutes=1)
        stage.deliver()
    assert hook.events == ["alert.raised"]


def test_two_schedulers_that_look_at_once_raise_one_alert(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    for what in ("a", "b", "c"):
        stage.holds(what)
    threads = [threading.Thread(target=stage.look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.key for a in stage.alerts()) == ["trouble:a", "trouble:b", "trouble:c"]
    stage.deliver()
    assert sorted(d["alert"]["key"] for d in hook.documents) == ["trouble:a", "trouble:b", "trouble:c"]


def test_everything_that_happens_is_on_record(stage: Stage):
    stage.holds()
    stage.look()
    stage.look(minutes=20)
    alerting.silence(stage.store, ROOT, 1, until=stage.clock.now() + MINUTE, now=stage.clock.now())
    alerting.acknowledge(stage.store, ROOT, 1, reason="INC-1", now=stage.clock.now())
    alerting.resolve(stage.store, ROOT, 1, now=stage.clock.now())
    kinds = ["alert.raised", "alert.escalated", "alert.silenced", "alert.acknowledged", "alert.resolved"]
    assert audit_kinds(stage) == kinds
    story = alerting.story(stage.store, ROOT, 1)
    assert [f"alert.{change.did}" for change in story.changes] == kinds


def test_a_look_that_finds_nothing_leaves_no_trace(stage: Stage):
    stage.look()
    assert audit_kinds(stage) == []


# -- escalation and silence -----------------------------------------------------------------------


def test_what_nobody_acknowledged_is_escalated_once_and_then_the_boss_hears_the_end_too(stage: Stage, hook: Hook):
    with webhook() as boss:
        stage.channel("pager", hook.url)
        stage.channel("boss", boss.url, escalations_only=True)
        stage.holds()
        stage.look()
        stage.look(minutes=14)
        stage.deliver()
        assert (hook.events, boss.events) == (["alert.raised"], [])
        stage.look(minutes=1)
        stage.look(minutes=30)
        stage.is_over()
        stage.look(minutes=1)
        stage.deliver()
        assert hook.events == ["alert.raised", "alert.escalated", "alert.resolved"]
        assert boss.events == ["alert.escalated", "alert.resolved"]
        assert "within 15 min" in boss.documents[0]["reason"]


def test_what_was_acknowledged_is_not_escalated(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    alerting.acknowledge(stage.store, ROOT, 1, reason="on it", now=stage.clock.now())
    stage.look(minutes=60)
    stage.deliver()
    assert hook.events == ["alert.raised", "alert.acknowledged"]
    assert (hook.documents[1]["by"], hook.documents[1]["reason"]) == ("local:tests", "on it")


def test_during_a_silence_nobody_is_paged_and_after_it_the_escalation_makes_up_for_it(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    stage.deliver()
    alerting.silence(stage.store, ROOT, 1, until=NOON + 60 * MINUTE, now=NOON)
    stage.is_over()
    stage.look(minutes=1)
    stage.holds()
    stage.look(minutes=1)  # a new alert of the same condition
    stage.look(minutes=30)
    stage.deliver()
    assert hook.events == ["alert.raised", "alert.resolved"]
    stage.look(minutes=43)
    stage.deliver()
    assert hook.events == ["alert.raised", "alert.resolved", "alert.escalated"]


def test_a_silence_can_be_ended_and_only_once(stage: Stage):
    stage.holds()
    stage.look()
    alerting.silence(stage.store, ROOT, 1, until=NOON + 60 * MINUTE, now=NOON)
    assert not alerting.silence(stage.store, ROOT, 1, until=None, now=NOON + MINUTE).is_silent(NOON + MINUTE)
    with pytest.raises(NothingToChange):
        alerting.silence(stage.store, ROOT, 1, until=None, now=NOON + MINUTE)


# -- who may --------------------------------------------------------------------------------------


def test_who_operates_one_alias_handles_its_alerts_and_sees_no_others(stage: Stage):
    stage.holds("mine", alias="mine")
    stage.holds("other", alias="other")
    stage.holds("all")
    stage.look()
    numbers = {alert.key: alert.id for alert in stage.alerts()}
    ann = Actor("ann", ActorKind.PERSON, (Grant(Role.OPERATOR, "mine"),))
    assert [a.key for a in alerting.alert_list(stage.store, ann)] == ["trouble:mine"]
    assert alerting.acknowledge(stage.store, ann, numbers["trouble:mine"], now=NOON).acknowledged_by == "ann"
    for key in ("trouble:other", "trouble:all"):
        with pytest.raises(NotPermitted):
            alerting.acknowledge(stage.store, ann, numbers[key], now=NOON)
        with pytest.raises(NotPermitted):
            alerting.story(stage.store, ann, numbers[key])


def test_a_viewer_sees_alerts_and_takes_none(stage: Stage):
    stage.holds()
    stage.look()
    vera = Actor("vera", ActorKind.PERSON, (Grant(Role.VIEWER),))
    assert len(alerting.alert_list(stage.store, vera)) == 1
    with pytest.raises(NotPermitted):
        alerting.resolve(stage.store, vera, 1, now=NOON)
    assert audit_kinds(stage) == ["alert.raised", "alert.resolved"]
    assert stage.alerts()[0].state is AlertState.OPEN


# -- the webhook ----------------------------------------------------------------------------------


def test_the_signature_covers_timestamp_and_body_and_the_link_leads_to_the_page(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds(alias="prod-chat")
    stage.look()
    stage.deliver(seconds=30)
    [(headers, body)] = hook.requests
    stamp = headers[TIMESTAMP]
    assert datetime.fromtimestamp(int(stamp), tz=NOON.tzinfo) == NOON + timedelta(seconds=30)
    assert headers[SIGNATURE] == f"v1={signature(SECRET, stamp, body)}"
    assert signature(SECRET, stamp, body) != signature(SECRET, stamp, body + b" ")
    assert signature(SECRET, stamp, body) != signature(SECRET, str(int(stamp) + 1), body)
    assert signature(SECRET, stamp, body) != signature("another", stamp, body)
    document = json.loads(body)
    assert headers[EVENT_ID] == document["event_id"]
    assert document["link"] == f"{BASE_URL}/alias?name=prod-chat"
    assert document["alert"]["severity"] == "critical"


def test_a_receiver_that_fails_is_told_again_in_the_same_order_with_the_same_ids(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    hook.answers = [500, "drop", 429, 503]
    stage.holds()
    stage.look()
    stage.is_over()
    stage.look(minutes=1)
    results = [stage.deliver()]
    while not results[-1].sent:
        results.append(stage.deliver(seconds=10 * 2 ** len(results)))
    first, *others = hook.events
    assert [first, *others] == ["alert.raised"] * 5 + ["alert.resolved"], "the second waits for the first"
    assert len(set(hook.event_ids)) == 2
    assert len({body for _headers, body in hook.requests}) == 2, "told again, it is told the same"
    raised = alerting.delivery_list(stage.store, ROOT)[-1]
    assert (raised.state, raised.attempts, raised.note) == ("sent", 5, "answered 200")


def test_a_failed_attempt_is_not_repeated_before_its_pause_is_over(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    hook.answers = [500]
    stage.holds()
    stage.look()
    assert stage.deliver().note == "1 to be tried again"
    assert stage.deliver(seconds=9).note == ""
    assert stage.deliver(seconds=1).note == "1 sent"


def test_a_receiver_that_hangs_is_told_again_and_keeps_no_other_waiting(
    stage: Stage, hook: Hook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(senders, "ANSWER_WITHIN_S", 0.3)
    with webhook() as other:
        stage.channel("hangs", hook.url)
        stage.channel("works", other.url)
        hook.answers = ["hang"]
        stage.holds()
        stage.look()
        assert stage.deliver().note == "1 sent, 1 to be tried again"
        assert other.events == ["alert.raised"]
        stage.deliver(seconds=10)
        assert hook.event_ids == [other.event_ids[0]] * 2


def test_after_enough_attempts_it_is_given_up_and_the_next_is_told(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    hook.answers = [500] * MOST_ATTEMPTS
    stage.holds()
    stage.look()
    stage.is_over()
    stage.look(minutes=1)
    for _ in range(MOST_ATTEMPTS):
        stage.deliver(minutes=11)
    assert hook.events == ["alert.raised"] * MOST_ATTEMPTS + ["alert.resolved"]
    last, first = alerting.delivery_list(stage.store, ROOT)
    assert (first.state, first.note, last.state) == ("gave up", "pager answered 500.", "sent")


def test_a_redirect_is_not_followed(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    hook.answers = [302]
    stage.holds()
    stage.look()
    stage.deliver()
    assert len(hook.requests) == 1
    assert "a redirect, which is not followed" in alerting.delivery_list(stage.store, ROOT)[0].note


def test_without_its_secret_nothing_is_sent_and_the_log_names_the_variable(
    stage: Stage, hook: Hook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(SECRET_ENV)
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    stage.deliver()
    assert hook.requests == []
    assert SECRET_ENV in alerting.delivery_list(stage.store, ROOT)[0].note


def test_a_fault_in_one_sender_keeps_no_other_channel_from_being_told(stage: Stage, hook: Hook):
    class Broken:
        def send(self, *_: object, **__: object) -> str:
            raise ZeroDivisionError("secret detail")

    stage.channel("pager", hook.url)
    stage.channel("chat", None, kind="slack", url_env="SLACK_URL", secret_env=None)
    stage.holds()
    stage.look()
    broken: dict[str, AlertChannel] = {**SENDERS, "slack": Broken()}
    done = delivering.deliver(stage.store, SCHEDULER, broken, base_url=BASE_URL, clock=stage.clock)
    assert done.note == "1 sent, 1 to be tried again"
    [failed] = alerting.delivery_list(stage.store, ROOT, channel="chat")
    assert "secret detail" not in failed.note


# -- several senders, and their sudden end --------------------------------------------------------


def test_many_senders_at_once_tell_everything_once_and_in_order(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    for number in range(6):
        stage.holds(f"n{number}")
        stage.look(seconds=1)
    threads = [threading.Thread(target=stage.deliver) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while stage.deliver().note:
        pass
    assert [d["alert"]["key"] for d in hook.documents] == [f"trouble:n{n}" for n in range(6)]


def _deliver_in_a_process(url: str) -> None:
    store = open_store(url)
    delivering.deliver(store, SCHEDULER, SENDERS, base_url=BASE_URL, clock=SetClock(NOON))
    store.close()


def test_killed_between_sending_and_noting_it_is_sent_again_with_the_same_event_id(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    stage.is_over()
    stage.look(minutes=1)
    process = multiprocessing.get_context("spawn").Process(target=_deliver_in_a_process, args=(stage.store.url,))

    def kill() -> None:
        hook.on_request = None
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)

    hook.on_request = kill
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert hook.events == ["alert.raised"]
    # While the claim of the dead one lasts nobody else sends: it might only be slow.
    assert stage.deliver(seconds=-30).note == ""
    stage.clock.wait(seconds=CLAIM_LASTS.total_seconds())
    assert stage.deliver().note == "2 sent"
    assert hook.events == ["alert.raised", "alert.raised", "alert.resolved"]
    again, once = hook.event_ids[1], hook.event_ids[0]
    assert again == once, "by its id the receiver knows that it is no new page"
    assert hook.requests[0][1] == hook.requests[1][1]


def test_who_comes_back_after_its_claim_ran_out_puts_nothing_down(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    given: dict[str, Any] = {"lasts": CLAIM_LASTS, "base_url": BASE_URL}
    slow = rows.claim_next(stage.store, "pager", claim="slow", now=NOON, **given)
    assert slow is not None
    assert rows.claim_next(stage.store, "pager", claim="other", now=NOON + MINUTE, **given) is None
    quick = rows.claim_next(stage.store, "pager", claim="quick", now=NOON + CLAIM_LASTS, **given)
    assert quick is not None
    assert rows.settle(stage.store, slow, rows.GAVE_UP, "late", now=NOON) is False
    assert rows.settle(stage.store, quick, rows.SENT, "answered 200", now=NOON) is True
    assert alerting.delivery_list(stage.store, ROOT)[0].note == "answered 200"


# -- channels -------------------------------------------------------------------------------------


def test_a_test_goes_the_same_way_as_an_alert_and_hurries_what_waits(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    hook.answers = [500]
    stage.holds()
    stage.look()
    stage.deliver()
    channels.test_channel(stage.store, ROOT, "pager", now=stage.clock.now())
    assert stage.deliver().note == "2 sent"
    assert hook.events == ["alert.raised", "alert.raised", "test"]
    assert hook.documents[-1]["alert"] is None
    assert (hook.documents[-1]["by"], hook.documents[-1]["link"]) == ("local:tests", f"{BASE_URL}/alerts")


def test_what_is_turned_off_or_removed_is_told_nothing_and_not_later_either(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.holds()
    stage.look()
    channels.change_channel(stage.store, ROOT, "pager", {"enabled": False}, now=NOON)
    with pytest.raises(InvalidInput, match="turned off"):
        channels.test_channel(stage.store, ROOT, "pager", now=NOON)
    channels.change_channel(stage.store, ROOT, "pager", {"enabled": True}, now=NOON)
    stage.holds("y")
    stage.look()
    channels.remove_channel(stage.store, ROOT, "pager", now=NOON)
    assert stage.deliver().note == ""
    assert hook.requests == []
    assert {d.state for d in alerting.delivery_list(stage.store, ROOT)} == {"dropped"}


def test_adding_the_same_again_changes_nothing_and_another_of_the_name_is_refused(stage: Stage, hook: Hook):
    stage.channel("pager", hook.url)
    stage.channel("pager", hook.url)
    with pytest.raises(AlreadyExists):
        stage.channel("pager", hook.url, least=Severity.CRITICAL)
    assert audit_kinds(stage) == ["alert_channel.added"]


def test_only_an_admin_touches_channels(stage: Stage, hook: Hook):
    ann = Actor("ann", ActorKind.PERSON, (Grant(Role.APPROVER),))
    with pytest.raises(NotPermitted):
        channels.add_channel(stage.store, ann, Channel("c", "slack", url_env="SLACK_URL"), now=NOON)
    stage.channel("pager", hook.url)
    assert [c.name for c in channels.channels(stage.store, ann)] == ["pager"]
    for attempt in (
        lambda: channels.change_channel(stage.store, ann, "pager", {"enabled": False}, now=NOON),
        lambda: channels.remove_channel(stage.store, ann, "pager", now=NOON),
        lambda: channels.test_channel(stage.store, ann, "pager", now=NOON),
    ):
        with pytest.raises(NotPermitted):
            attempt()


# -- mail -----------------------------------------------------------------------------------------


def test_a_mail_says_what_is_wrong_whose_it_is_and_where_to_look(stage: Stage):
    with mail_server() as box:
        stage.channel(
            "mail", box.url, kind="email", secret_env=None, sender="pinrail@example.com",
            recipients=("oncall@example.com", "dana@example.com"),
        )  # fmt: skip
        stage.holds("x", because="errors 12.0 %, limit 2 %")
        stage.look()
        stage.deliver()
        [mail] = box.mails
        assert box.recipients == [["oncall@example.com", "dana@example.com"]]
    assert "Subject: [critical] x is in trouble (raised)" in mail
    assert f"{BASE_URL}/alias?name=prod-chat" in mail
    assert "Errors 12.0 %, limit 2 %." in mail
    assert "Owner: dana." in mail
    [delivery] = alerting.delivery_list(stage.store, ROOT)
    assert f"Message-ID: <{delivery.event_id}@pinrail.invalid>" in mail
    assert delivery.note == "taken for 2 recipients"


def test_a_mail_server_that_refuses_or_is_away_is_tried_again(stage: Stage):
    with mail_server() as box:
        box.refuses = {"oncall@example.com"}
        given: dict[str, Any] = {"kind": "email", "secret_env": None, "sender": "p@example.com"}
        stage.channel("mail", box.url, recipients=("oncall@example.com",), **given)
        stage.holds()
        stage.look()
        stage.deliver()
        assert "refused oncall@example.com" in alerting.delivery_list(stage.store, ROOT)[0].note
        box.refuses = set()
        assert stage.deliver(seconds=10).note == "1 sent"
    stage.is_over()
    stage.look()
    stage.deliver()
    assert "could not be talked to" in alerting.delivery_list(stage.store, ROOT)[0].note
