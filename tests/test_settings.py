"""Settings that cannot work are refused at the start, and not by a fault in the middle of the night."""

import stat
from pathlib import Path

import pytest

from app.settings import Settings
from app.wiring import open_pinrail
from core.errors import CannotStart

ABSURD = {
    "port": ["-1", "65536", "abc", "", "1e3"],
    "gateway_port": ["-1", "65536"],
    "recorded_port": ["-1", "65536"],
    "max_body_bytes": ["0", "-5", "99999999999"],
    "outcome_queue": ["0", "99999999999"],
    "connect_timeout_s": ["0", "nan", "inf", "1e308"],
    "answer_timeout_s": ["0", "nan", "inf"],
    "idle_timeout_s": ["0", "nan", "inf"],
    "minimum_dwell_s": ["-1", "nan", "inf", "1e308"],
    "keep_windows_days": ["0", "999999999999"],
    "demo": ["maybe"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ABSURD.items() for value in values])
def test_a_value_that_cannot_work_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"PINRAIL_{name.upper()}", value)
    with pytest.raises(CannotStart, match=f"PINRAIL_{name.upper()} cannot be"):
        Settings.read()


def test_the_largest_values_that_are_taken_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PINRAIL_MINIMUM_DWELL_S", str(366 * 86_400))
    assert Settings.read().minimum_dwell.days == 366


def test_a_folder_made_for_the_store_is_its_owner_s_alone_and_one_that_exists_is_left_as_it_is(tmp_path: Path):
    fresh, shared = tmp_path / "fresh", tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)
    for folder in (fresh, shared):
        open_pinrail(Settings(data_dir=folder)).store.close()

    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    assert stat.S_IMODE(shared.stat().st_mode) == 0o750
