"""The line of the last hour, the figures beside it, and two versions side by side."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dashboard.charts import HEIGHT, TOP, WIDTH, Point, sparkline
from app.dashboard.comparing import Row, rows, split_at_difference
from app.dashboard.tiles import FIGURES, per_minute
from app.dashboard.widgets import ATTENTION, STATES, pair, table
from core.domain.shifts import Move
from core.domain.traffic import Counts
from core.domain.versions import Provider, Version
from core.store.attention import KINDS
from core.store.read_models import Bundle
from core.store.windows import Moment

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def drawn(points, *, marks=(), least_top=0.05):
    return sparkline(points, since=START, until=START + HOUR, marks=marks, least_top=least_top, alt="a & b")


def minutes(*values):
    return [Point(START + timedelta(minutes=i), value) for i, value in enumerate(values)]


def test_a_line_says_its_conclusion_to_whoever_cannot_see_it():
    svg = drawn(minutes(0.01, 0.02))
    assert 'role="img" aria-label="a &amp; b"' in svg


def test_a_missing_value_leaves_a_gap_instead_of_a_bridge():
    assert drawn(minutes(0.1, 0.2, None, 0.3, 0.2)).count("<polyline") == 2
    assert drawn(minutes(0.1, 0.2, 0.3)).count("<polyline") == 1


def test_a_missing_minute_leaves_a_gap_too():
    points = minutes(0.1, 0.2, 0.3, 0.3)
    assert drawn([*points[:2], *[Point(p.at + timedelta(minutes=5), p.value) for p in points[2:]]]).count("<poly") == 2


def test_a_single_minute_is_still_seen():
    assert drawn(minutes(0.1)).count('class="pr-line"') == 1


def test_a_trifle_is_drawn_as_one():
    y = float(drawn(minutes(0.001, 0.001)).split("polyline")[1].split(",")[1].split(" ")[0])
    assert y > HEIGHT - TOP - (HEIGHT * 0.1)


def test_a_change_is_marked_where_it_was_and_only_within_the_hour():
    svg = drawn(minutes(0.1, 0.2), marks=[START + timedelta(minutes=30), START - timedelta(minutes=1)])
    assert svg.count("pr-mark") == 1
    assert f'x1="{WIDTH / 2}"' in svg


def test_the_drawing_of_no_line_breaks_off_a_markdown_block():
    assert "\n" not in drawn(minutes(0.1, None, 0.2), marks=[START])


def test_windows_are_added_up_to_whole_minutes():
    windows = [Moment(START + timedelta(seconds=10 * i), Counts(requests=i)) for i in range(12)]
    assert [(m.start, m.counts.requests) for m in per_minute(windows)] == [
        (START, 15),
        (START + timedelta(minutes=1), 51),
    ]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_every_figure_is_blind_without_traffic_and_says_so(figure):
    shift = figure.shift(Counts(), Counts())
    assert shift.move is Move.BLIND
    assert figure.written(shift.now) == "No data"
    assert figure.why_blind


@pytest.mark.parametrize("look", [*STATES.values(), *ATTENTION.values()], ids=lambda look: look.word)
def test_no_state_is_told_by_colour_alone(look):
    assert look.word
    assert look.icon


def test_every_kind_of_attention_has_a_look():
    assert ATTENTION.keys() == KINDS.keys()


def test_silence_never_looks_healthy():
    assert STATES["unknown"].role != STATES["healthy"].role


# -- two versions -----------------------------------------------------------------------------------


def bundle(name, **given):
    return Bundle(
        Version(name, given.pop("provider", "acme"), name, **given), Provider("acme", "recorded", ""), None, ()
    )


def test_versions_line_up_where_they_begin_to_differ():
    assert split_at_difference("gpt-4-0314", "gpt-4-0613") == ("gpt-4-", "0314", "0613")
    assert split_at_difference("gpt-4", "gpt-4-0613") == ("gpt-", "4", "4-0613")
    assert split_at_difference("a", "b") == ("", "a", "b")
    assert "<b>0314</b>" in pair("gpt-4-0314", "gpt-4-0613")


def test_a_comparison_names_each_parameter_that_differs_and_no_other():
    before = bundle("a-1", parameters={"temperature": 0, "top_p": 1}, prompt="p-1")
    after = bundle("a-2", parameters={"temperature": 0.7, "top_p": 1, "seed": 3}, prompt="p-1")
    found = {row.item: row for row in rows(before, after)}
    assert found["temperature"] == Row("temperature", "0", "0.7")
    assert found["seed"] == Row("seed", "not set", "3")
    assert "top_p" not in found
    assert found["Prompt"].same


def test_long_parameters_that_differ_never_look_alike():
    def schema(last):
        return {"response_format": {"schema": {"properties": {f"field_{i}": {} for i in range(20)}, "last": last}}}

    found = {r.item: r for r in rows(bundle("a", parameters=schema(1)), bundle("b", parameters=schema(2)))}
    assert found["response_format"].now != found["response_format"].after
    assert len(found["response_format"].now) < 80


def test_another_provider_is_named_and_the_same_is_not():
    assert "Provider" in {row.item for row in rows(bundle("a"), bundle("b", provider="other"))}
    assert "Provider" not in {row.item for row in rows(bundle("a"), bundle("b"))}


def test_a_table_stays_a_table_for_a_screen_reader_on_a_phone():
    drawn_table = table("All aliases", ("Alias", "State"), [("<i>a</i>", "")])
    for role in ("table", "row", "columnheader", "cell"):
        assert f'role="{role}"' in drawn_table
    assert 'data-label="State"' in drawn_table
    assert "–" in drawn_table
