"""The program as a whole: usage, versions, options in their place, extras that are missing."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.cli import parts
from app.cli.program import ORDER, ended, program
from app.wiring import Pinrail
from core.errors import StaleRevision
from tests.cli.commands import commands_of
from tests.cli.desk import Desk, alias_of, desk_on
from tests.cli.shell import environment
from tests.parts import ROOT, free_port

COMMANDS = commands_of(program)
RUNS_ON = {"up", "gateway", "dashboard", "scheduler", "recorded", "demo-traffic"}
"""What serves until it is stopped prints no document."""


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - RUNS_ON))
def test_every_command_that_answers_takes_json(name: str):
    assert "--json" in {option for param in COMMANDS[name].params for option in param.opts}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_explains_itself(name: str):
    command = COMMANDS[name]
    assert command.help
    assert command.help.strip().split("\n")[0].endswith(".")
    for param in command.params:
        assert getattr(param, "help", None), f"{name} {param.opts}"


def test_every_command_has_its_place_in_the_help():
    assert set(ORDER) == {name.split()[0] for name in COMMANDS}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alias", "flip"), "Missing argument 'ALIAS'. See pinrail alias flip --help."),
        (("alias", "flop"), "No such command 'flop'. Did you mean 'flip'? See pinrail alias --help."),
        (
            ("alias", "list", "--jason"),
            "No such option: --jason (Possible options: --json). See pinrail alias list --help.",
        ),
        (("alias", "list", "much"), "Got unexpected extra argument(s) (much). See pinrail alias list --help."),
        (("audit", "list", "--outcome", "maybe"), "'maybe' is not one of 'done', 'refused'."),
        (("--port", "x"), "Invalid value for '--port'"),
        (("--host", "127.0.0.1", "status"), "--host belongs after the command, or to no command at all."),
    ],
)
def test_wrong_usage_is_one_sentence_that_says_where_help_is(words: tuple[str, ...], said: str):
    result = Desk()(*words)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert result.err.startswith("pinrail: ")
    assert result.err.count("\n") == 1


def test_help_and_version_are_printed(lite: Pinrail):
    assert Desk().done("--version") == f"{__version__}\n"
    assert "Without a command: everything on this machine" in " ".join(Desk().done("--help").split())
    assert "demo-traffic" not in Desk().done("--help")


def test_a_refusal_is_one_line_even_where_a_stored_text_is_not(lite: Pinrail):
    alias_of(lite, "chat", "a")
    desk = desk_on(lite)
    desk.done("alias", "hold", "chat", "--reason", "one\ntwo\x1b[31m")
    said = desk("alias", "flip", "ch\nat\x1b[31m", "b")
    assert said.code == 3
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert "\x1b" not in desk.done("alias", "show", "chat")


def test_a_fault_of_our_own_is_told_apart_from_a_refusal(capsys: pytest.CaptureFixture[str]):
    def broken() -> None:
        raise ZeroDivisionError("nobody thought of this")

    assert ended(broken) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "nobody thought of this" in err


def test_a_refusal_and_an_interruption_end_without_a_traceback(capsys: pytest.CaptureFixture[str]):
    def refused() -> None:
        raise StaleRevision("Somebody was faster.")

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert (ended(refused), ended(interrupted)) == (4, 130)
    assert capsys.readouterr().err == "pinrail: Somebody was faster.\npinrail: Stopped.\n"


@pytest.mark.parametrize(
    ("words", "extra", "library"),
    [
        (("gateway",), "gateway", "aiohttp"),
        (("dashboard",), "dashboard", "streamlit"),
        (("scheduler",), "scheduler", "apscheduler"),
        (("recorded", "."), "gateway", "uvicorn"),
        (("demo-traffic",), "gateway", "aiohttp"),
        (("up",), "dashboard", "plotly"),
        ((), "gateway", "uvicorn"),
    ],
)
def test_a_missing_extra_is_a_sentence_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], extra: str, library: str
):
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == library else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    said = Desk()("--data", str(tmp_path / "data"), *words)
    assert said.code == 1
    assert f"packages: pip install 'pinrail[{extra}]'" in said.err
    assert not (tmp_path / "data").exists()


def test_the_libraries_of_an_extra_are_really_there():
    for extra, libraries in parts.LIBRARIES.items():
        for library in libraries:
            assert importlib.util.find_spec(library) is not None, (extra, library)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("no/such/folder",), 1, "no/such/folder"),
        (("data/demo/recordings", "--behaviour", "often"), 2, "is no behaviour; give NAME=VALUE"),
        (("data/demo/recordings", "--behaviour", "error_share=2"), 2, "error_share is a share from 0 to 1"),
        (("data/demo/recordings", "--behaviour", "mood=1"), 2, "mood"),
    ],
)
def test_recordings_that_cannot_be_served_are_a_sentence(words: tuple[str, ...], code: int, why: str):
    said = Desk()("recorded", *words, "--port", str(free_port()))
    assert (said.code, said.out) == (code, "")
    assert why in said.err
    assert said.err.count("\n") == 1


def libraries_loaded(env: dict[str, str]) -> set[str]:
    """What `pinrail alias list` has imported by its end."""
    script = (
        "import sys\nfrom app.cli.program import program\nsys.argv = ['pinrail', 'alias', 'list']\n"
        "try:\n    program()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(env), capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"streamlit", "aiohttp", "fastapi", "apscheduler", "starlette", "uvicorn", "pandas", "plotly"}


def test_commands_on_the_store_load_nothing_of_the_parts(lite: Pinrail):
    loaded = libraries_loaded({"PINRAIL_DATABASE_URL": lite.store.url})
    assert "sqlalchemy" in loaded
    assert not loaded & HEAVY


def test_commands_over_the_api_load_no_database_either():
    loaded = libraries_loaded({"PINRAIL_URL": f"http://127.0.0.1:{free_port()}", "PINRAIL_TOKEN": "pr_x"})
    assert "requests" in loaded
    assert not loaded & (HEAVY | {"sqlalchemy", "alembic", "psycopg", "argon2"})
