"""The page of alerts: what is wrong, taking it, silencing it, and who was told."""

from datetime import timedelta
from typing import Any

import pytest

from core.domain.alert_channels import Channel
from core.domain.alerts import AlertState, Found, Severity
from core.domain.permissions import system
from core.services import alerting, channels
from core.services.watches import WATCHES, Watch
from core.store.looking import LOOKS, Seen
from core.store.tables import JobRunRow
from tests.dashboard.conftest import text_of
from tests.dashboard.stage import ALIAS, ROOT, Stage

SCHEDULER = system("scheduler")


def raise_alert(stage: Stage, what: str = "x", *, alias: str | None = ALIAS, minutes_ago: int = 5) -> None:
    """Let a watch find something."""
    at = stage.now - timedelta(minutes=minutes_ago)
    found = [
        Found(f"trouble:{what}", f"{what} is in trouble", "it is <b>bad</b>", alias, "oncall", f"/alias?name={alias}")
    ]
    watch = Watch("trouble", Severity.CRITICAL, lambda _seen: iter(found), "is in trouble")
    seen = Seen(at)
    alerting.look(stage.store, SCHEDULER, seen, escalate_after=timedelta(days=1), now=at, watches=(watch, *WATCHES))


@pytest.fixture
def troubled(full: Stage) -> Stage:
    raise_alert(full)
    return full


def button(app, key: str):
    found = [b for b in app.button if b.key == key]
    assert len(found) == 1, [b.key for b in app.button]
    return found[0]


def newest(stage: Stage):
    return alerting.story(stage.store, ROOT, 1).alert


def looked(stage: Stage) -> None:
    """A scheduler looked a moment ago."""
    with stage.store.writing() as session:
        run: dict[str, Any] = {
            "holder": "a",
            "fence": 1,
            "started_at": stage.now,
            "finished_at": stage.now,
            "outcome": "done",
        }
        session.add(JobRunRow(job=LOOKS, scheduled_for=stage.now, **run))


def test_without_alerts_the_page_says_that_nothing_is_wrong_and_that_nobody_would_be_told(full, look):
    looked(full)
    said = text_of(look(full, "oncall", "alerts"))
    assert "Nothing is wrong" in said
    assert "Nobody looks" not in said
    assert "Nobody is told of alerts: there is no alert channel yet." in said


def test_without_a_scheduler_the_page_does_not_take_silence_for_good_news(full, look):
    said = text_of(look(full, "oncall", "alerts"))
    assert "Nobody looks: the watches did not run in the last minutes" in said
    assert "Nothing is wrong" not in said
    assert "No alert is open" in said


def test_an_alert_says_what_why_since_when_whose_and_where_to_go(troubled, look):
    app = look(troubled, "oncall", "alerts")
    said = text_of(app)
    assert "x is in trouble error Critical notifications_active Open It is <b>bad</b>. Since" in said
    assert "owner oncall · alert 1 · Open prod-math" in said
    assert any(f'href="/alias?name={ALIAS}"' in e.proto.body for e in app.get("html"))


def test_what_a_condition_says_is_never_markup(troubled, look):
    bodies = "".join(e.proto.body for e in look(troubled, "oncall", "alerts").get("html"))
    assert "it is <b>" not in bodies
    assert "It is &lt;b&gt;bad" in bodies


def test_taking_it_is_one_click_and_a_second_one_does_nothing_more(troubled, look):
    app = look(troubled, "oncall", "alerts")
    button(app, "acknowledge:1").click().run()
    assert (newest(troubled).state, newest(troubled).acknowledged_by) == (AlertState.ACKNOWLEDGED, "oncall")
    said = text_of(app)
    assert "Acknowledged: x is in trouble. It is yours now" in said
    assert "visibility Acknowledged by oncall" in said
    assert not [b for b in app.button if b.key == "acknowledge:1"]


def test_somebody_who_was_quicker_is_named_and_nothing_is_done(troubled, look):
    app = look(troubled, "oncall", "alerts")
    alerting.acknowledge(troubled.store, troubled.actor("lee"), 1, now=troubled.now)
    button(app, "acknowledge:1").click().run()
    said = text_of(app)
    assert "Could not acknowledge alert 1: nothing was changed" in said
    assert "acknowledged by lee already" in said


def test_resolving_empties_the_list_and_the_filter_finds_it_again(troubled, look):
    app = look(troubled, "oncall", "alerts")
    button(app, "resolve:1").click().run()
    assert newest(troubled).state is AlertState.RESOLVED
    assert "No alert is open" in text_of(app)
    said = text_of(look(troubled, "oncall", "alerts", state="Resolved"))
    assert "check_circle Resolved by oncall" in said


def test_a_silence_has_an_end_and_can_be_ended(troubled, look):
    app = look(troubled, "oncall", "alerts")
    button(app, "silence-4 hours:1").click().run()
    until = newest(troubled).silenced_until
    assert until is not None
    assert timedelta(hours=3) < until - troubled.now < timedelta(hours=5)
    assert "notifications_paused Silenced until" in text_of(app)
    button(app, "end the silence of:1").click().run()
    assert "The silence is over" in text_of(app)
    assert "notifications_paused Silenced" not in text_of(app)


def test_a_viewer_sees_everything_and_the_reason_why_the_buttons_are_off(troubled, look):
    app = look(troubled, "viewer", "alerts")
    for key in ("acknowledge:1", "resolve:1"):
        assert button(app, key).disabled
    assert "viewer is viewer on prod-math; alert:handle needs operator. Ask lee, oncall or admin." in text_of(app)


def test_the_search_is_in_the_address_and_says_when_nothing_fits(troubled, look):
    assert "x is in trouble" in text_of(look(troubled, "oncall", "alerts", about="PROD-math"))
    said = text_of(look(troubled, "oncall", "alerts", about="elsewhere"))
    assert "No alert matches ‘elsewhere’ here." in said


def test_channels_and_what_they_were_told_stand_below_and_an_admin_can_send_a_test(full, look):
    pager = Channel("pager", "webhook", "https://alerts.example.com/hook", secret_env="ALERTS_SECRET")
    channels.add_channel(full.store, ROOT, pager, now=full.now)
    raise_alert(full)
    app = look(full, "admin", "alerts")
    said = text_of(app)
    assert "pager webhook https://alerts.example.com/hook every alert check_circle On" in said
    assert "alert 1 raised schedule Waiting 0" in said
    button(app, "test:pager").click().run()
    assert "A test for pager is on its way." in text_of(app)
    assert "test by admin" in text_of(app)
    assert button(look(full, "oncall", "alerts"), "test:pager").disabled


def test_the_overview_counts_what_is_not_resolved(troubled, look):
    raise_alert(troubled, "y", alias=None)
    assert "1 alert open" in text_of(look(troubled, "oncall")), "what the later look did not find any more is over"
    for alert in alerting.alert_list(troubled.store, ROOT):
        if alert.state is AlertState.OPEN:
            alerting.acknowledge(troubled.store, ROOT, alert.id, now=troubled.now)
    assert "1 alert acknowledged" in text_of(look(troubled, "oncall"))
