"""Quarantine at the command line: said after a rollback, in the way of a flip, shown and lifted."""

import json

from tests.cli.desk import alias_of, desk_on


def test_from_rollback_to_lifting(lite):
    alias_of(lite, "chat", "a", "b")
    desk = desk_on(lite)
    said = desk.done("rollback", "chat", "--reason", "INC-1", "--wait", "0")
    assert "b is quarantined. Lift it: pinrail version lift-quarantine b" in said

    refused = desk("alias", "flip", "chat", "b", "--wait", "0")
    assert refused.code != 0
    assert "b was quarantined" in refused.err
    assert "Caution: b is quarantined" in desk.done("alias", "flip", "chat", "b", "--dry-run")

    shown = desk.done("version", "quarantine", "b")
    assert "b is quarantined." in shown
    assert "INC-1" in shown
    assert "b may serve again." in desk.done("version", "lift-quarantine", "b", "--reason", "fixed")
    assert json.loads(desk.done("version", "quarantine", "b", "--json"))["quarantined"] is False
    assert "a is not quarantined." in desk.done("version", "quarantine", "a")


def test_an_override_moves_it_all_the_same(lite):
    alias_of(lite, "chat", "a", "b")
    desk = desk_on(lite)
    desk.done("rollback", "chat", "--wait", "0")
    done = desk.done("alias", "flip", "chat", "b", "--override-quarantine", "only in the demo", "--wait", "0")
    assert "Flipped chat from a to b" in done
    assert "overridden: only in the demo" in desk.done("alias", "history", "chat")
    desk.done("alias", "rollback", "chat", "--wait", "0")
    assert desk("alias", "describe", "chat", "--fallback", "b").code != 0
    desk.done("alias", "describe", "chat", "--fallback", "b", "--override-quarantine", "better than nothing")
