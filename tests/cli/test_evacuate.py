"""Evacuating from the command line: look, move, and put back."""

import json

from core.domain.permissions import Role
from tests.cli.desk import alias_of, desk_on, token_of


def test_look_move_and_put_back(lite):
    alias_of(lite, "chat", "a", "b")
    alias_of(lite, "search", "b")
    desk = desk_on(lite)
    looked = desk.done("evacuate", "run", "--version", "b", "--dry-run")
    assert "Nothing was changed." in looked
    assert "stays" in looked

    done = desk("evacuate", "run", "--version", "b", "--reason", "INC-7")
    assert done.code == 7, "search has nowhere to go"
    assert "search stays at b: no rollback target" in done.out
    assert "chat: b to a, revision 3." in done.out

    [made] = json.loads(desk.done("evacuate", "list", "--json"))["items"]
    assert "chat" in desk.done("evacuate", "show", made["id"])
    back = desk.done("evacuate", "return", made["id"])
    assert "chat: a to b, revision 4." in back
    assert "b is not quarantined." in desk.done("version", "quarantine", "b")


def test_a_rollback_only_token_can_evacuate_and_cannot_return(lite):
    alias_of(lite, "chat", "a", "b")
    oncall = desk_on(lite, token_of(lite, "olaf", role=Role.OPERATOR, scope="rollback"))
    done = json.loads(oncall.done("evacuate", "run", "--version", "b", "--json"))
    assert [result["moved"]["version"] for result in done["results"]] == ["a"]
    refused = oncall("evacuate", "return", done["id"])
    assert refused.code == 5
    assert "scope rollback" in refused.err


def test_nothing_to_move_is_said_and_is_no_success(lite):
    desk = desk_on(lite)
    assert "No alias is concerned." in desk.done("evacuate", "run", "--provider", "recorded", "--dry-run")
    assert "no alias that could be moved" in desk("evacuate", "run", "--provider", "recorded").err
    assert "and not both" in desk("evacuate", "run", "--dry-run").err
