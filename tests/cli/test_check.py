"""Promises of `python3 -m tests`: bad news first, one closing line, and no quiet gap where a machine checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import check
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]


def test_a_failed_check_is_shown_whole_and_the_tests_are_not_run(monkeypatch, capfd):
    monkeypatch.setattr(
        check,
        "STATIC",
        (("spelling", ("-c", "raise SystemExit('line 3: aliass')")), ("types", ("-c", "pass"))),
    )

    assert check.run_all() == 1

    said = capfd.readouterr().out
    assert "spelling      FAILED" in said
    assert "line 3: aliass" in said
    assert "types         ok" in said
    assert said.splitlines()[-1] == "Not run: the tests, because of spelling."


def test_the_output_ends_with_one_closing_line_of_pytest(tmp_path):
    (tmp_path / "test_two.py").write_text("def test_one(): assert True\ndef test_two(): assert True\n")

    answer = subprocess.run(
        [sys.executable, "-m", "tests", str(tmp_path), "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    closing = [line for line in answer.stdout.splitlines() if " passed in " in line]
    assert answer.returncode == 0
    assert len(closing) == 1
    assert answer.stdout.splitlines()[-1] == closing[0]
    assert "2 passed" in closing[0]


def test_a_person_may_lack_a_browser_and_a_machine_may_not(monkeypatch):
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=r"Chromium is missing\. Install it"):
        missing("Chromium", "Install it.")

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Chromium is missing, and under CI=true nothing may be skipped"):
        missing("Chromium", "Install it.")


def test_no_test_sees_the_settings_of_the_person_who_runs_it():
    env = {**os.environ, "PINRAIL_DATABASE_URL": "postgresql://production", "PINRAIL_TEST_EXAMPLE": "kept"}
    question = "import os; from tests.conftest import pytest_configure; pytest_configure(); "
    question += "print([name for name in os.environ if name.startswith('PINRAIL_')])"

    answer = subprocess.run(
        [sys.executable, "-c", question], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )

    assert "PINRAIL_DATABASE_URL" not in answer.stdout
    assert "PINRAIL_TEST_EXAMPLE" in answer.stdout
