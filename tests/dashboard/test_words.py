"""What the pages write can be read one way only, whatever others typed."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dashboard.words import (
    ago,
    clock,
    html,
    latency,
    latency_change,
    length,
    listed,
    moment,
    number,
    plain,
    points,
    rate,
    sentence,
    share,
)

NOW = datetime(2026, 11, 24, 2, 15, 4, tzinfo=UTC)


def test_a_time_of_today_is_short_and_one_of_another_day_has_its_date():
    assert moment(NOW - timedelta(minutes=12), now=NOW) == "02:03 UTC (12 min ago)"
    assert moment(NOW - timedelta(days=4), now=NOW) == "2026-11-20 02:15 UTC (4 d ago)"
    assert clock(NOW, now=NOW, seconds=True) == "02:15:04 UTC"


def test_a_time_just_before_midnight_is_another_day_even_seconds_later():
    midnight = NOW.replace(hour=0, minute=0, second=2)
    assert clock(midnight - timedelta(seconds=4), now=midnight) == "2026-11-23 23:59 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (599, "9 min"), (3599, "59 min"), (86399, "23 h"), (90_000, "1 d")],
)
def test_a_duration_is_rounded_down_so_that_it_never_promises_more(seconds, said):
    assert length(timedelta(seconds=seconds)) == said
    assert ago(NOW - timedelta(seconds=seconds), now=NOW) == f"{said} ago"


def test_what_was_not_measured_is_said_in_words_and_never_as_a_zero():
    assert share(None) == latency(None) == "No data"
    assert share(0.0) == "0.0%"


def test_figures_carry_their_units_and_sign():
    assert (share(0.0412), share(1.0), points(0.031), points(-0.001), points(0.0001)) == (
        "4.1%",
        "100%",
        "+3.1 pp",
        "−0.1 pp",
        "±0.0 pp",
    )
    assert (latency(340.4), latency(2900), latency_change(1200), latency_change(-40)) == (
        "340 ms",
        "2.9 s",
        "+1.2 s",
        "−40 ms",
    )
    assert (rate(1240), rate(0), rate(0.4)) == ("1,240 req/min", "0 req/min", "0.4 req/min")
    assert (number(1, "gateway"), number(3, "gateway"), number(2, "alias")) == ("1 gateway", "3 gateways", "2 aliases")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")


def test_a_sentence_begins_large_and_ends_with_a_stop():
    assert sentence("it broke") == "It broke."
    assert sentence("Why?") == "Why?"
    assert sentence("  ") == ""


@pytest.mark.parametrize(
    "typed",
    [
        "[click](http://evil.example)",
        ":red[alarm] :material/home:",
        "**bold** _it_ `code` ~~gone~~ $x^2$",
        "<b>html</b> &amp; # heading",
        "-> -- <- >= ~=",
        "1. list",
        "- list",
    ],
)
def test_text_that_others_typed_loses_every_meaning_in_markdown(typed):
    shown = plain(typed)
    for mark in "[]`*_~$<:#&=":
        assert shown.count(mark) == shown.count("\\" + mark)
    assert shown.replace("\\", "") == typed
    assert not shown.startswith(("- ", "1. "))
    assert "->" not in shown
    assert "--" not in shown


def test_names_of_versions_are_left_as_they_are_in_markdown():
    assert plain("gpt-4o-2024-11-20") == "gpt-4o-2024-11-20"
    assert plain("two\nlines") == "two lines"


def test_text_that_others_typed_stays_text_in_html():
    assert html('<img src=x onerror="a()">') == "&lt;img src=x onerror=&quot;a()&quot;&gt;"
