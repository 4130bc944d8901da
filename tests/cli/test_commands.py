"""What the commands on things other than moving promise: exact texts, secrets, prices, the audit log, the store."""

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.wiring import Pinrail
from core.domain.permissions import Role
from core.services import access, callers, reading, registry
from core.store import migrate
from tests.cli.desk import ROOT, Desk, alias_of, desk_on, gateway_joins, token_of

AWKWARD = "Zeile eins\r\n\ttab \x1b[31mred\x1b[0m  ünïcode 漢字 \n\nlast line without an end"


def test_a_prompt_comes_back_byte_for_byte(pinrail: Pinrail, desk: Desk, tmp_path: Path):
    file = tmp_path / "prompt.txt"
    file.write_bytes(AWKWARD.encode())
    desk.done("prompt", "register", "p/1", str(file))
    assert registry.prompt(pinrail.store, ROOT, "p/1").text == AWKWARD
    assert json.loads(desk.done("prompt", "show", "p/1", "--json"))["text"] == AWKWARD


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe", "is not a text in UTF-8"), (b"", "text cannot be used"), (b"x" * 200_001, "text cannot be used")],
)
def test_a_file_that_is_no_prompt_is_refused(lite_desk: Desk, tmp_path: Path, content: bytes, why: str):
    file = tmp_path / "prompt.txt"
    file.write_bytes(content)
    said = lite_desk("prompt", "register", "p/1", str(file))
    assert said.code == 2
    assert why in said.err


def test_a_file_that_is_not_there_is_named(lite_desk: Desk):
    said = lite_desk("prompt", "register", "p/1", "no/such/file")
    assert (said.code, said.err) == (2, "pinrail: no/such/file cannot be read: No such file or directory.\n")


def test_a_version_keeps_exactly_what_was_given(lite: Pinrail, lite_desk: Desk):
    lite_desk.done(
        "version", "register", "v", "--provider", "recorded", "--model", "m", "--parameter", "temperature=0.2",
        "--parameter", 'stop=["a", "b"]', "--parameter", "style=plain", "--input-price", "0.15", "--output-price",
        "$1,5".replace(",", "."), "--no-tools", "--introduced", "2026-02-03",
    )  # fmt: skip
    kept = registry.version(lite.store, ROOT, "v")
    assert kept.parameters == {"temperature": 0.2, "stop": ["a", "b"], "style": "plain"}
    assert (kept.price.input_microdollars, kept.price.output_microdollars) == (150_000, 1_500_000)
    assert (kept.capabilities.tools, kept.capabilities.vision) == (False, None)
    out = lite_desk.done("version", "show", "v")
    assert "$0.15 in, $1.50 out per million tokens" in out
    assert "Vision:       unknown" in out


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--parameter", "temperature", "is no parameter"),
        ("--parameter", "temperature=NaN", "NaN is no JSON number"),
        ("--input-price", "two", "is no price"),
        ("--input-price", "0.00000001", "is no price"),
        ("--input-price", "-1", "is no price"),
        ("--introduced", "last May", "is no date"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_nothing_registered(
    lite: Pinrail, lite_desk: Desk, option: str, value: str, why: str
):
    said = lite_desk("version", "register", "v", "--provider", "recorded", "--model", "m", option, value)
    assert said.code == 2
    assert why in said.err
    assert [v.name for v in registry.versions(lite.store, ROOT)] == ["a", "b", "c"]


def test_a_floating_id_is_refused_with_the_pinned_ids_known_for_it(lite_desk: Desk):
    lite_desk.done("provider", "register", "openai", "--kind", "openai", "--base-url", "https://api.openai.com/v1")
    said = lite_desk("version", "register", "v", "--provider", "openai", "--model", "gpt-4o")
    assert said.code == 1
    assert "gpt-4o is floating" in said.err
    assert "gpt-4o-2024-08-06" in said.err


# -- secrets --------------------------------------------------------------------------------------


def test_a_token_is_printed_once_and_works(lite: Pinrail, lite_desk: Desk):
    lite_desk.done("user", "add", "ann", "--role", "operator")
    lines = lite_desk.done("token", "create", "laptop", "--scope", "rollback", "--person", "ann").splitlines()
    secret = lines[1]
    assert lines[2] == "Keep it now: it is not shown again."
    assert access.actor_for_token(lite.store, secret, now=lite.now()).name == "ann"
    listed = lite_desk.done("token", "list")
    assert "laptop" in listed
    assert secret not in listed
    assert secret not in lite_desk.done("audit", "list", "--json")


def test_a_revoked_token_stops_and_the_list_says_since_when(lite: Pinrail, lite_desk: Desk):
    lite_desk.done("user", "add", "ann", "--role", "operator")
    made = json.loads(lite_desk.done("token", "create", "t", "--scope", "read", "--person", "ann", "--json"))
    assert "works" in lite_desk.done("token", "list")
    lite_desk.done("token", "revoke", made["id"])
    assert "revoked" in lite_desk.done("token", "list")
    assert desk_on(lite, made["secret"])("status").code == 5


def test_root_on_the_store_is_told_to_say_for_whom_a_token_is(lite_desk: Desk):
    said = lite_desk("token", "create", "laptop", "--scope", "read")
    assert (said.code, said.err.strip().endswith("say for whom with --person NAME.")) == (2, True)


def test_a_caller_key_is_printed_once_with_its_limits(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    out = lite_desk.done("caller", "create", "web", "--alias", "chat", "--expires", "30d")
    assert "good for aliases: chat." in out
    [key] = callers.keys(lite.store, ROOT)
    assert out.splitlines()[1].startswith(f"pk_{key.id}_")
    assert "works until" in lite_desk.done("caller", "list")


def test_a_password_comes_from_standard_input_and_never_from_the_command_line(lite: Pinrail, lite_desk: Desk):
    lite_desk.done("user", "add", "ann", "--role", "viewer", "--password-stdin", sent="a very long password\n")
    assert access.sign_in(lite.store, "ann", "a very long password", now=lite.now())
    assert lite_desk("user", "add", "bob", "--password", "a very long password").code == 2
    said = lite_desk("user", "password", "ann")
    assert (said.code, "--password-stdin" in said.err) == (2, True)


def test_a_person_may_be_added_without_a_password(lite_desk: Desk):
    assert "Added ann. Roles: viewer; has no password." in lite_desk.done("user", "add", "ann", "--role", "viewer")


def test_roles_are_given_and_taken_in_words(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    lite_desk.done("user", "add", "ann")
    out = lite_desk.done("user", "grant", "ann", "operator", "--alias", "chat")
    assert out.startswith("ann is operator on chat now. Roles: operator on chat;")
    assert "no longer operator on chat. Roles: none" in lite_desk.done(
        "user", "ungrant", "ann", "operator", "--alias", "chat"
    )
    assert lite_desk("user", "grant", "ann", "emperor").code == 2


# -- lists that are empty -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "next_step"),
    [
        ("alias list", "pinrail alias create"),
        ("prompt list", "pinrail prompt register"),
        ("data-version list", "pinrail data-version register"),
        ("caller list", "pinrail caller create"),
        ("user list", "pinrail user add"),
        ("token list", "pinrail token create"),
        ("status", "pinrail alias create"),
    ],
)
def test_an_empty_list_says_what_comes_next(lite_desk: Desk, command: str, next_step: str):
    assert next_step in lite_desk.done(*command.split())


def test_an_empty_store_begins_with_a_provider(sqlite_url: str, tmp_path: Path):
    desk = Desk({"PINRAIL_DATABASE_URL": sqlite_url, "PINRAIL_DATA_DIR": str(tmp_path)})
    desk.done("db", "upgrade")
    assert "pinrail provider register" in desk.done("status")
    assert "pinrail provider register" in desk.done("provider", "list")


def test_the_status_names_gateways_and_what_is_held(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b")
    gateway_joins(lite, "gateway-1")
    lite_desk.done("alias", "hold", "chat")
    out = lite_desk.done("status")
    assert "unknown, held" in out
    assert "Gateways: gateway-1." in out


# -- the audit log --------------------------------------------------------------------------------


def test_a_whole_log_verifies_also_against_a_head_noted_earlier(pinrail: Pinrail, desk: Desk):
    alias_of(pinrail, "chat", "a", "b")
    head = desk.done("audit", "head").strip()
    desk.done("alias", "flip", "chat", "c", "--wait", "0")
    assert desk.done("audit", "verify", "--head", head).startswith("The audit log is whole: ")


def test_a_forged_log_has_an_exit_code_of_its_own(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b")
    path = make_url(lite.store.url).database
    assert path is not None
    forge = sqlite3.connect(path)
    for (trigger,) in forge.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        forge.execute(f"DROP TRIGGER {trigger}")
    forge.execute("UPDATE audit_event SET actor = 'somebody else' WHERE seq = 2")
    forge.commit()
    forge.close()
    said = lite_desk("audit", "verify")
    assert (said.code, said.out) == (8, "")
    assert "Event 2 (version.registered of version:a) does not fit the chain" in said.err


def test_audit_events_are_filtered_and_paged(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b", "c")
    flips = json.loads(lite_desk.done("audit", "list", "--kind", "alias.flipped", "--json"))
    assert [item["after"]["stable"] for item in flips["items"]] == ["c", "b"]
    first = lite_desk.done("audit", "list", "--limit", "2")
    assert "There is more: --before 6" in first
    assert "There is more" not in lite_desk.done("audit", "list", "--limit", "50")


# -- the store ------------------------------------------------------------------------------------


def test_a_store_without_tables_is_a_sentence_until_it_is_upgraded(database_url: str, tmp_path: Path):
    desk = Desk({"PINRAIL_DATABASE_URL": database_url, "PINRAIL_DATA_DIR": str(tmp_path)})
    for command in (("db", "check"), ("status",), ("rollback", "chat")):
        said = desk(*command)
        assert said.code == 6
        assert "Run `pinrail db upgrade`." in said.err
    assert desk.done("db", "upgrade").startswith("Brought up to date: ")
    assert desk.done("db", "upgrade").startswith("Up to date already: ")
    assert "as needed" in desk.done("db", "check")


def test_the_embedded_store_is_made_where_data_says(tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    desk = Desk({"PINRAIL_DATABASE_URL": None, "PINRAIL_URL": None, "PINRAIL_TOKEN": None})
    assert "No aliases yet" in desk.done("--data", str(folder), "status")
    assert (folder / "pinrail.db").is_file()
    assert str(folder / "pinrail.db") in desk.done("--data", str(folder), "db", "url")


def test_the_address_of_the_store_is_shown_without_its_password():
    desk = Desk({"PINRAIL_DATABASE_URL": "postgresql://pinrail:verysecret@db.example/pinrail"})
    out = desk.done("db", "url")
    assert "verysecret" not in out
    assert "db.example" in out
    view = json.loads(desk.done("db", "url", "--json"))
    assert (view["schema_needed"], view["embedded"]) == (migrate.newest(), False)


def test_a_store_that_is_away_is_a_sentence(tmp_path: Path):
    desk = Desk({"PINRAIL_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:9/nothing"})
    said = desk("alias", "list")
    assert (said.code, said.out) == (6, "")
    assert said.err.startswith("pinrail: The store did not")
    assert "secret" not in said.err
    assert said.err.count("\n") == 1


def test_several_upgrades_at_once_are_one(database_url: str, tmp_path: Path):
    from tests.cli.shell import started

    env = {"PINRAIL_DATABASE_URL": database_url, "PINRAIL_DATA_DIR": str(tmp_path)}
    upgrades = [started("db", "upgrade", env=env) for _ in range(3)]
    said = sorted(upgrade.communicate()[0].split(":")[0] for upgrade in upgrades)
    assert said == ["Brought up to date", "Up to date already", "Up to date already"]


# -- describing -----------------------------------------------------------------------------------


def test_what_is_not_given_stays_and_an_empty_owner_clears_it(lite: Pinrail, lite_desk: Desk):
    lite_desk.done("alias", "create", "chat", "a", "--owner", "dana", "--description", "Chat", "--fallback", "b")
    lite_desk.done("alias", "describe", "chat", "--description", "Talk")
    state = reading.alias(lite.store, ROOT, "chat").state
    assert (state.description, state.owner, state.fallbacks) == ("Talk", "dana", ("b",))
    lite_desk.done("alias", "describe", "chat", "--owner", "", "--no-fallbacks")
    state = reading.alias(lite.store, ROOT, "chat").state
    assert (state.description, state.owner, state.fallbacks) == ("Talk", None, ())


def test_a_protected_alias_refuses_a_flip_alone_and_never_a_rollback(lite: Pinrail):
    alias_of(lite, "chat", "a", "b")
    desk = desk_on(lite, token_of(lite, "ada", role=Role.ADMIN))
    desk.done("alias", "protect", "chat")
    refused = desk("alias", "flip", "chat", "c")
    assert (refused.code, "needs a second person" in refused.err) == (1, True)
    assert "Rolled back" in desk.done("rollback", "chat", "--wait", "0")


def test_a_reason_may_not_be_endless(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    said = lite_desk("alias", "flip", "chat", "b", "--reason", "x" * 2001)
    assert (said.code, said.err.startswith("pinrail: reason cannot be used:")) == (2, True)
