"""Quarantine on the pages: said before a rollback, marked in the flip dialog, asked for when it is overridden."""

from datetime import timedelta

from core.services import flips, quarantines
from tests.dashboard.conftest import text_of
from tests.dashboard.stage import ALIAS, BAD, ROOT


def test_the_rollback_dialog_says_that_it_also_quarantines(full, look):
    app = look(full, "oncall", "alias", name=ALIAS, do="rollback")
    assert f"Also quarantines {BAD}" in text_of(app)


def test_the_flip_dialog_marks_it_and_asks_why(full, look):
    flips.roll_back(full.store, ROOT, ALIAS, seen_revision=3, reason="wrong sums", now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS, do="flip", to=BAD)
    said = text_of(app)
    assert f"{BAD} is quarantined: rolled back from {ALIAS} by local:tests: wrong sums." in said
    [reason] = [field for field in app.text_input if field.label == "Reason (required)"]
    reason.set_value("again")
    app.button(key="go-flip").click().run()
    assert "shall serve although quarantined. Nothing was changed." in text_of(app)
    assert full.newest().number == 4

    [why] = [field for field in app.text_input if field.label.startswith("Why it shall serve all the same")]
    why.set_value("sums are fixed")
    app.button(key="go-flip").click().run()
    assert full.newest().stable == BAD
    assert "overridden: sums are fixed" in full.newest().reason
    assert "Quarantined" in text_of(app)


def test_undoing_the_rollback_says_that_it_lifts_the_quarantine(full, look):
    flips.roll_back(full.store, ROOT, ALIAS, seen_revision=3, now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS)
    app.session_state[f"history-{ALIAS}"] = True
    app.run()
    app.button(key="undo:4").click().run()
    assert f"Also lifts the quarantine of {BAD}" in text_of(app)
    app.button(key="go-undo").click().run()
    assert full.newest().stable == BAD
    assert quarantines.of(full.store, ROOT, BAD)[0].lifted_at is not None


def test_a_fallback_in_quarantine_is_named_as_not_tried(full, look):
    flips.describe(full.store, ROOT, ALIAS, fallbacks=(BAD,), seen_revision=3, now=full.now - timedelta(minutes=5))
    flips.roll_back(full.store, ROOT, ALIAS, seen_revision=4, now=full.now)
    assert f"{BAD} (quarantined, so not tried)" in text_of(look(full, "oncall", "alias", name=ALIAS))


def test_the_versions_page_marks_it_in_the_list_and_on_its_own_page(full, look):
    assert "Quarantined" not in text_of(look(full, "viewer", "versions"))
    flips.roll_back(full.store, ROOT, ALIAS, seen_revision=3, now=full.now)
    assert "Quarantined" in text_of(look(full, "viewer", "versions"))
    assert "Quarantined" in text_of(look(full, "viewer", "versions", v=BAD))
    quarantines.lift(full.store, ROOT, BAD, reason="sums are fixed", now=full.now)
    assert "Quarantined" not in text_of(look(full, "viewer", "versions", v=BAD))
