"""Every part logs one JSON object a line when it is told to, and no secret in either format."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from app import logs
from app.settings import Settings
from core.store import migrate
from core.store.database import open_store
from tests.cli.shell import environment
from tests.docs.pages import Page
from tests.parts import ROOT, dashboard, gateway

SECRETS = (
    "pr_1a2b3c_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "pk_1a2b3c_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "sk-AbCdEfGhIjKlMnOpQrStUv",
    "hunter2horse",
)


@pytest.fixture
def logger() -> logging.Logger:
    """A logger whose lines go nowhere else."""
    made = logging.getLogger("tests.logs")
    made.propagate = False
    made.setLevel(logging.INFO)
    made.handlers.clear()
    return made


def lines_of(logger: logging.Logger, formatter: logging.Formatter) -> io.StringIO:
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return sink


def test_a_fault_is_one_object_with_its_request_and_traceback(logger: logging.Logger):
    sink = lines_of(logger, logs.Objects("gateway"))
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logger.exception("A request failed", extra={"request_id": "ab-1"})
    assert sink.getvalue().count("\n") == 1
    said = json.loads(sink.getvalue())
    assert (said["level"], said["part"], said["event"], said["request_id"]) == (
        "error",
        "gateway",
        "A request failed",
        "ab-1",
    )
    assert "line two" in said["exception"]
    assert said["time"].endswith("+00:00")
    assert set(said) <= set(Page("settings.md").rows("Settings"))


@pytest.mark.parametrize("formatter", [logs.Objects("gateway"), logs.Lines()], ids=["json", "text"])
def test_no_secret_is_logged_in_either_format(logger: logging.Logger, formatter: logging.Formatter):
    sink = lines_of(logger, formatter)
    token, key, foreign, password = SECRETS
    try:
        raise ValueError(f"cannot connect to postgresql://pinrail:{password}@db/x")
    except ValueError:
        logger.exception("refused %s and Bearer %s with pinrail_session=%s; %s", token, key, "c00kie", foreign)
    said = sink.getvalue()
    assert not [secret for secret in (*SECRETS, "c00kie") if secret in said]
    assert "postgresql://pinrail:…@db/x" in said


def test_what_a_supervised_part_says_stays_an_object_or_becomes_one(capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.set_up(Settings(log_format="json"), "supervisor")
    try:
        logs.pass_on("gateway", '{"event": "as it is"}')
        logs.pass_on("scheduler", "Traceback (most recent call last):")
        logs.pass_on("scheduler", "{no object")
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = before, level
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert said[0] == {"event": "as it is"}
    assert [(one["part"], one["event"]) for one in said[1:]] == [
        ("scheduler", "Traceback (most recent call last):"),
        ("scheduler", "{no object"),
    ]


def objects_in(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_every_part_logs_objects_only(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = open_store(sqlite_url)
    migrate.upgrade(store)
    store.close()
    monkeypatch.setenv("PINRAIL_LOG_FORMAT", "json")
    monkeypatch.setenv("PINRAIL_LOG_LEVEL", "debug")
    with gateway(sqlite_url, tmp_path, "gateway-1"), dashboard(sqlite_url, tmp_path):
        pass
    for part, log in (("gateway", "gateway-1/gateway.log"), ("dashboard", "dashboard/dashboard.log")):
        said = objects_in(tmp_path / log)
        assert said, part
        assert {one["part"] for one in said} == {part}


def test_what_ends_a_part_is_an_object_too(tmp_path: Path):
    env = environment({"PINRAIL_LOG_FORMAT": "json", "PINRAIL_DATABASE_URL": f"sqlite:///{tmp_path}/no/store.db"})
    command = [sys.executable, "-m", "app.cli", "scheduler"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    [said] = [json.loads(line) for line in ended.stderr.splitlines()]
    assert said["level"] == "error"
    assert "does not exist" in said["event"]
