"""The page on quarantine says what the code says."""

from app.cli.program import program
from core.domain.permissions import ACTIONS
from core.errors import NoRollbackTarget, Quarantined
from core.services.quarantines import MAX_WHY
from tests.cli.commands import commands_of
from tests.docs.pages import Page

PAGE = Page("quarantine.md")


def test_the_codes_actions_and_numbers_are_those_of_the_code():
    assert f"`{Quarantined.code}`" in PAGE.text
    assert f"`{NoRollbackTarget.code}`" in PAGE.text
    assert f"at most {MAX_WHY} characters" in PAGE.text
    assert "`registry:write`" in PAGE.text
    assert "registry:write" in {action.name for action in ACTIONS}


def test_the_commands_and_the_option_exist():
    commands = commands_of(program)
    for name in ("version quarantine", "version lift-quarantine"):
        assert name in commands
        assert f"pinrail {name}" in PAGE.text
    assert any("--override-quarantine" in param.opts for param in commands["alias flip"].params)
