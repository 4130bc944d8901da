"""A terminal gets tables to its width and no more colour than it asked for; a pipe gets whole lines."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.cli.screen import Column, Screen, open_screen
from app.cli.terminal import Terminal

NOW = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
COLUMNS = ("ALIAS", Column("REV", right=True), Column("WHY", folds=True))
ROWS = [("prod-chat", "118", "errors after the rollout of the morning " * 3), ("prod-triage", "4", "")]


class FakeTerminal(io.StringIO):
    """Somewhere to write that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a terminal of a width gets from a drawing."""

    def drawn(draw: Callable[[Screen], None], *, width: int = 80, no_color: str = "") -> str:
        written = FakeTerminal()
        for name, value in (("COLUMNS", str(width)), ("NO_COLOR", no_color), ("TERM", "xterm-256color")):
            monkeypatch.setenv(name, value)
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", written)
            screen = open_screen()
            assert isinstance(screen, Terminal)
            draw(screen)
        return written.getvalue()

    return drawn


def table(screen: Screen) -> None:
    screen.table(COLUMNS, ROWS, empty="Nothing here.")


def test_a_pipe_gets_each_row_as_one_whole_line(capsys: pytest.CaptureFixture[str]):
    table(Screen(now=NOW))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == "ALIAS        REV  WHY"
    assert lines[1] == ("prod-chat    118  " + ROWS[0][2]).rstrip()
    assert lines[2] == "prod-triage    4  -"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_gets_everything_within_its_width(on_terminal: Callable[..., str], width: int):
    out = plain(on_terminal(table, width=width))
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    words = out.replace("\n", " ").split()
    assert words.count("morning") == 3
    assert {"prod-chat", "prod-triage", "118"} <= set(words)


def test_a_narrow_terminal_gets_rows_as_facts(on_terminal: Callable[..., str]):
    out = plain(on_terminal(table, width=24))
    assert "ALIAS:" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 24


def test_nothing_is_coloured_where_no_color_is_set(on_terminal: Callable[..., str]):
    coloured = [f"\x1b[{code}m" for code in range(30, 38)]
    out = on_terminal(table, no_color="1")
    assert not any(code in out for code in coloured)


def test_an_empty_table_says_what_to_do(capsys: pytest.CaptureFixture[str], on_terminal: Callable[..., str]):
    Screen(now=NOW).table(COLUMNS, [], empty="Create one: pinrail alias create")
    assert capsys.readouterr().out == "Create one: pinrail alias create\n"
    out = on_terminal(lambda screen: screen.table(COLUMNS, [], empty="Create one."))
    assert out == "Create one.\n"


def test_a_stored_text_with_markup_or_escapes_is_shown_as_text(on_terminal: Callable[..., str]):
    evil = "[red]x[/red] \x1b[31mred :smile:"
    for draw in (
        lambda screen: screen.say(evil),
        lambda screen: screen.facts([("Why", evil)]),
        lambda screen: screen.table(("WHY",), [(evil,)], empty=""),
        lambda screen: screen.text(evil),
    ):
        out = on_terminal(draw, no_color="1")
        assert r"[red]x[/red] \x1b[31mred :smile:" in plain(out)
        assert "\x1b[31m" not in out


def test_a_pipe_gets_a_text_exactly(capsys: pytest.CaptureFixture[str]):
    Screen(now=NOW).text("one\x1b[31m\r\ntwo")
    assert capsys.readouterr().out == "one\x1b[31m\r\ntwo\n"


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]):
    Screen(now=NOW).facts([("Alias", "chat"), ("Owner", ""), ("Fallbacks", "-"), ("Rev", "3")])
    assert capsys.readouterr().out == "Alias:  chat\nRev:    3\n"


def plain(text: str) -> str:
    """Without the bold of titles and labels."""
    return text.replace("\x1b[1m", "").replace("\x1b[0m", "")
