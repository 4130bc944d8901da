"""How values are said: times in UTC with their age, prices to the micro-dollar, and text that cannot do harm."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from app.cli.options import day, future, microdollars, past
from app.cli.words import latency, length, listed, moment, one_line, price, safe, share, yes
from core.errors import InvalidInput

NOW = datetime(2026, 11, 24, 2, 15, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW - timedelta(minutes=12, seconds=4), "02:03 UTC (12 min ago)"),
        (NOW, "02:15 UTC (0 s ago)"),
        (NOW - timedelta(hours=2, minutes=16), "2026-11-23 23:59 UTC (2 h ago)"),
        (NOW - timedelta(days=4), "2026-11-20 02:15 UTC (4 d ago)"),
        (NOW + timedelta(hours=3), "05:15 UTC (in 3 h)"),
        (datetime(2026, 11, 24, 3, 3, tzinfo=timezone(timedelta(hours=1))), "02:03 UTC (12 min ago)"),
        (None, "-"),
    ],
)
def test_a_time_is_in_utc_with_its_age_and_with_its_date_when_not_today(at: datetime | None, said: str):
    assert moment(at, now=NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_a_duration_never_says_more_than_has_passed(seconds: int, said: str):
    assert length(timedelta(seconds=seconds)) == said


def test_what_was_not_measured_is_never_shown_as_a_figure():
    assert (share(None), latency(None), price(None), listed(()), listed(None)) == ("-", "-", "-", "-", "-")
    assert (yes(None), yes(False), yes(True)) == ("unknown", "no", "yes")


def test_figures_are_said_in_their_units():
    assert (share(0.0412), latency(340.4), latency(2900), price(2_500_000), price(150_001)) == (
        "4.1%",
        "340 ms",
        "2.9 s",
        "$2.50",
        "$0.150001",
    )


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2 h", NOW - timedelta(hours=2)),
        ("90d", NOW - timedelta(days=90)),
        ("02:03", datetime(2026, 11, 24, 2, 3, tzinfo=UTC)),
        ("02:16", datetime(2026, 11, 23, 2, 16, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T14:02", datetime(2026, 11, 20, 14, 2, tzinfo=UTC)),
        ("2026-11-20 15:02+01:00", datetime(2026, 11, 20, 14, 2, tzinfo=UTC)),
        ("2026-11-20T14:02:03Z", datetime(2026, 11, 20, 14, 2, 3, tzinfo=UTC)),
    ],
)
def test_a_past_time_may_be_given_as_people_say_it(text: str, at: datetime):
    assert past(text, now=NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "5 fortnights", "2026-11-24T02:16Z"])
def test_what_is_no_past_time_is_refused(text: str):
    with pytest.raises(InvalidInput):
        past(text, now=NOW)


def test_an_end_given_as_a_day_includes_the_day():
    assert future("2027-01-31", now=NOW) == datetime(2027, 2, 1, tzinfo=UTC)
    assert future("12h", now=NOW) == NOW + timedelta(hours=12)
    assert future(None, now=NOW) is None


def test_dates_and_prices_are_exact():
    assert day("2026-02-03") == date(2026, 2, 3)
    assert day(None) is None
    assert [microdollars(text) for text in ("0.15", "$2.50", "10", "0.000001", None)] == [
        150_000,
        2_500_000,
        10_000_000,
        1,
        None,
    ]


@pytest.mark.parametrize("text", ["", "cheap", "1e999", "NaN", "0.0000001"])
def test_what_is_no_price_is_refused(text: str):
    with pytest.raises(InvalidInput):
        microdollars(text)


def test_a_stored_text_cannot_move_the_cursor_or_begin_a_line_of_its_own():
    evil = "ok\x1b[2J\x1b]0;title\x07\r\npinrail: all gateways confirmed\u202e\u200b"
    assert one_line(evil) == r"ok\x1b[2J\x1b]0;title\x07 pinrail: all gateways confirmed\u202e\u200b"
    assert safe("two\nlines\tand \x9b31m colour") == "two\nlines\tand \\x9b31m colour"
    assert one_line("ünïcode 漢字 stays") == "ünïcode 漢字 stays"
