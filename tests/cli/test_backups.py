"""`pinrail backup` and `pinrail restore` from the outside: what they print, refuse and leave behind."""

import json
from pathlib import Path

from sqlalchemy import text

from app.wiring import Pinrail
from core.services import flips
from tests.cli.desk import ROOT, Desk, alias_of, desk_on, desk_over, token_of


def test_yesterday_s_backup_comes_back_and_what_was_there_is_saved(pinrail: Pinrail, desk: Desk, tmp_path: Path):
    alias_of(pinrail, "chat", "a", "b")
    file = tmp_path / "yesterday.zip"
    made = json.loads(desk.done("backup", str(file), "--json"))
    flips.flip(pinrail.store, ROOT, "chat", "c", seen_revision=2, now=pinrail.now())

    refused = desk("restore", str(file))
    assert (refused.code, refused.out) == (1, "")
    assert "Give --replace" in refused.err

    said = json.loads(desk.done("restore", str(file), "--replace", "--sha256", made["sha256"], "--json"))

    assert json.loads(desk.done("alias", "show", "chat", "--json"))["version"] == "b"
    assert said["audit_events"] == made["audit_events"] + 1
    assert Path(said["saved_as"]).parent == pinrail.settings.data_dir / "backups"
    assert desk.done("audit", "verify").startswith("The audit log is whole")
    newest = json.loads(desk.done("audit", "list", "--limit", "1", "--json"))["items"][0]
    assert (newest["kind"], newest["after"]["backup_sha256"]) == ("store.restored", made["sha256"])
    assert newest["before"]["saved_as"] == Path(said["saved_as"]).name


def test_people_read_what_was_done_and_what_follows(pinrail: Pinrail, desk: Desk, tmp_path: Path):
    said = desk.done("backup", str(tmp_path / "b.zip"))
    assert "Written and read back" in said
    assert "SHA-256" in said
    said = desk.done("restore", str(tmp_path / "b.zip"), "--replace")
    assert "Everybody signs in again. Gateways load the restored routes by themselves" in said
    assert "What was there before is saved in" in said


def test_a_backup_file_that_was_altered_is_one_sentence_and_changes_nothing(
    lite: Pinrail, lite_desk: Desk, tmp_path: Path
):
    file = tmp_path / "b.zip"
    lite_desk.done("backup", str(file))
    file.write_bytes(file.read_bytes()[:-1])
    said = lite_desk("restore", str(file), "--replace")
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "Nothing was touched" in said.err


def test_a_log_that_does_not_verify_is_backed_up_with_an_exit_code_that_says_so(
    lite: Pinrail, lite_desk: Desk, tmp_path: Path
):
    with lite.store.writes.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_event_no_update"))
        connection.execute(text("UPDATE audit_event SET actor = 'eve' WHERE seq = 2"))
    said = lite_desk("backup", str(tmp_path / "b.zip"))
    assert said.code == 8
    assert "The audit log does not verify: Event 2" in said.out


def test_a_token_narrows_what_the_store_s_own_hand_may_do(lite: Pinrail, tmp_path: Path):
    token = token_of(lite, "ann", scope="operate")
    said = desk_on(lite, token)("backup", str(tmp_path / "b.zip"))
    assert said.code == 5
    assert "scope operate, which does not include store:backup" in said.err
    said = desk_on(lite, token)("restore", str(tmp_path / "b.zip"), "--replace")
    assert said.code == 5
    assert "store:restore" in said.err


def test_over_the_api_neither_is_tried(tmp_path: Path):
    for command in ("backup", "restore"):
        said = desk_over("http://127.0.0.1:9", "pr_x")(command, str(tmp_path / "b.zip"))
        assert said.code == 2
        assert "works on the store itself: unset PINRAIL_URL" in said.err
