"""The page on the command line is whole and true: it is held against the program's own help."""

import pytest

from app.cli.exits import MEANING, Exit
from app.cli.program import program
from tests.cli.commands import commands_of
from tests.docs.cli_reference import PAGE as PATH
from tests.docs.cli_reference import commands_behind, filled, named_in
from tests.docs.pages import Page

PAGE = Page("cli.md")
COMMANDS = commands_of(program)


def test_the_help_in_the_page_is_that_of_today():
    assert filled(PAGE.text) == PAGE.text, f"run `.venv/bin/python -m tests.docs.cli_reference` to renew {PATH.name}"


def test_every_command_has_its_place_in_the_page_once():
    found = [command for name in named_in(PAGE.text) for command in commands_behind(name)]
    assert sorted(found) == sorted(["", *COMMANDS])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_stands_under_its_heading(name: str):
    section = PAGE.section(f"`pinrail {name}`")
    for param in COMMANDS[name].params:
        shown = param.opts if param.param_type_name == "option" else [param.metavar or param.name.upper()]
        assert all(word.strip("[]") in section for word in shown), f"{name} {shown}"


@pytest.mark.parametrize("code", Exit, ids=lambda code: code.name)
def test_every_exit_code_is_documented_with_its_meaning(code: Exit):
    assert PAGE.rows("Exit codes")[str(code.value)] == [MEANING[code]]


def test_every_variable_of_the_command_line_is_documented():
    assert {"PINRAIL_URL", "PINRAIL_TOKEN", "NO_COLOR"} <= set(PAGE.rows("Where a command works"))
