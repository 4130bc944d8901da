"""The page on evacuating says what the code says."""

from app.cli.exits import Exit
from app.cli.program import program
from core.domain.evacuation import Concern, reason
from core.domain.events import EVENTS
from core.domain.permissions import ACTIONS
from core.errors import NothingToChange, StaleRevision
from tests.cli.commands import commands_of
from tests.docs.pages import Page

PAGE = Page("evacuate.md")


def test_the_commands_and_their_options_exist():
    commands = commands_of(program)
    for name in ("evacuate run", "evacuate return", "evacuate show"):
        assert name in commands
        assert f"pinrail {name}" in PAGE.text
    options = {option for param in commands["evacuate run"].params for option in param.opts}
    assert {"--provider", "--version", "--dry-run", "--reason"} <= options
    assert f"Exit code {Exit.NOT_EVERYWHERE.value}" in PAGE.text


def test_the_words_are_those_of_the_code():
    assert reason("ID", Concern(provider="acme"), "INC-7") in PAGE.text
    for word in (NothingToChange.code, StaleRevision.code, "evacuation.begun", "evacuation.returned"):
        assert f"`{word}`" in PAGE.text
    assert {"evacuation.begun", "evacuation.returned"} <= EVENTS.keys()
    for action in ("alias:roll_back", "alias:flip"):
        assert f"`{action}`" in PAGE.text
        assert action in {known.name for known in ACTIONS}
