"""The records pages: what they say to whom, what each filter in the address does, and who may write what."""

from datetime import UTC, datetime, timedelta

import pytest

from app.dashboard.access_questions import QUESTIONS as ACCESS
from app.dashboard.access_questions import about_grant, grant_in
from app.dashboard.screens.gateways import LOOKS
from app.dashboard.version_parts import STANDINGS as STANDING_LOOKS
from app.dashboard.version_questions import QUESTIONS as VERSIONS
from core.domain.events import EVENTS
from core.domain.permissions import ACTIONS, Grant, Role
from core.domain.versions import DataVersion, Version
from core.errors import NotPermitted
from core.services import access, callers, flips, reading, registry
from core.store.read_access import Secret
from core.store.read_gateways import STATES
from core.store.read_versions import STANDINGS
from tests.dashboard.conftest import text_of
from tests.dashboard.stage import ALIAS, BAD, GOOD, OLD, PASSWORD, ROOT, gateways

PAGES = ("versions", "audit", "gateways", "access", "settings")


def button(app, key):
    return app.button(key=key)


def keys(app):
    return {b.key for b in app.button if b.key}


def bodies(app):
    return "".join(e.proto.body for e in app.get("html"))


@pytest.fixture
def guest(full):
    """Somebody with a role on one alias only."""
    access.add_person(full.store, ROOT, "guest", password=PASSWORD, now=full.now)
    access.grant(full.store, ROOT, "guest", Grant(Role.OPERATOR, ALIAS), now=full.now)
    return "guest"


# -- all of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_nobody_sees_a_page_without_a_session(full, look, page):
    said = text_of(look(full, None, page))
    assert "Sign in to Pinrail" in said
    assert ALIAS not in said


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("person", ["viewer", "admin"])
def test_every_page_opens_for_a_viewer_and_an_admin_and_says_when_it_was_read(full, look, page, person):
    said = text_of(look(full, person, page))
    assert "UTC" in said
    assert "Not permitted" not in said


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_an_empty_installation_says_what_to_do_next(bare, look, page):
    said = text_of(look(bare, "admin", page))
    expected = {
        "versions": "pinrail version register",
        "audit": "person.added",
        "gateways": "python3 -m app gateway",
        "access": "admin",
        "settings": "pinrail provider register",
    }
    assert expected[page] in said


@pytest.mark.parametrize("page", ["versions", "access"])
def test_a_viewer_finds_every_button_that_writes_disabled_with_the_reason(full, look, page):
    parameters = {"versions": {"v": BAD}, "access": {"person": "oncall"}}[page]
    app = look(full, "viewer", page, **parameters)
    writes = [b for b in app.button if b.key and b.key.split(":")[0].replace("-", " ") in {*ACCESS, *VERSIONS}]
    assert writes
    assert all(b.disabled for b in writes)
    assert all("viewer is viewer" in b.help.replace("\\", "") for b in writes)
    assert all("Ask " in b.help for b in writes)


# -- versions ---------------------------------------------------------------------------------------


def test_the_list_says_who_serves_what(full, look):
    said = text_of(look(full, "viewer", "versions"))
    assert f"{BAD} play_circle Serving {ALIAS}" in said
    assert f"{GOOD} history Served before" in said


def test_filters_of_the_address_hold(full, look):
    registry.add_issue(full.store, ROOT, GOOD, "slow", now=full.now)
    assert BAD not in text_of(look(full, "viewer", "versions", search="2026-03"))
    assert "Versions that fit 1 of 3" in text_of(look(full, "viewer", "versions", state="Known issues"))
    assert "All versions 3" in text_of(look(full, "viewer", "versions", provider="acme"))
    said = text_of(look(full, "viewer", "versions", search="nothing like it"))
    assert "No version fits." in said
    assert "Clear the filter" in said


def test_a_version_shows_its_lineage_reference_facts_and_terms(full, look):
    registry.register_data_version(full.store, ROOT, DataVersion("sums-1", rows=1234), now=full.now)
    made = Version("math-next", "acme", "math-x", prompt="math-v2", data_versions=("sums-1",), parameters={"seed": 3})
    registry.register_version(full.store, ROOT, made, now=full.now)
    app = look(full, "viewer", "versions", v="math-next")
    said = text_of(app)
    assert "1,234 rows" in said
    assert f"Also in {BAD}" in said
    assert "seed 3" in said
    assert "unknown in, unknown out" in said
    assert "tools: unknown" in said
    assert app.code[0].value == "math-x@math-v2@sums-1"
    said = text_of(look(full, "viewer", "versions", v=GOOD))
    assert "revision 2, flipped by local:tests" in said
    assert "revision 3, flipped by local:tests" in said


def test_two_versions_are_compared_word_by_word_and_not_by_colour_alone(full, look):
    app = look(full, "viewer", "versions", v=BAD, diff=OLD)
    said = text_of(app)
    assert f"from {OLD} to {BAD}" in said
    assert "temperature 0.0 0.7" in said
    assert "taken out: math-v1" in said.replace("taken out: v1", "taken out: math-v1")
    assert "<del>" in bodies(app)
    assert "<ins>" in bodies(app)


def test_a_bad_link_to_a_version_or_a_comparison_leads_to_the_closest(full, look):
    said = text_of(look(full, "viewer", "versions", v="math-2026-06-31"))
    assert "There is no version ‘math-2026-06-31’" in said
    assert f"Closest: {BAD}" in said
    assert "Closest:" in text_of(look(full, "viewer", "versions", v=BAD, diff="math-2026-03-41"))
    assert "That is this version itself" in text_of(look(full, "viewer", "versions", v=BAD, diff=BAD))


def test_whoever_may_see_one_alias_does_not_learn_the_names_of_others(full, look, guest):
    flips.create(full.store, ROOT, "secret-plans", OLD, now=full.now)
    for parameters in ({}, {"v": OLD}):
        said = text_of(look(full, guest, "versions", **parameters))
        assert "secret-plans" not in said
    assert "Used by 1 alias that you may not see." in said


def test_an_operator_puts_an_issue_on_record_and_resolves_it(full, look):
    app = look(full, "oncall", "versions", v=BAD)
    button(app, f"add-issue:{BAD}").click().run()
    assert "Add a known issue to" in app.get("dialog")[0].proto.dialog.title
    app.text_area[0].set_value("wrong above ten thousand")
    button(app, "go-add-issue").click().run()
    [issue] = registry.issues(full.store, ROOT, BAD)
    assert (issue.text, issue.added_by) == ("wrong above ten thousand", "oncall")
    assert "is on the record of" in text_of(app)
    assert "Known issue: Wrong above ten thousand." in text_of(app)
    button(app, f"resolve-issue:{issue.id}").click().run()
    button(app, "go-resolve-issue").click().run()
    assert registry.issues(full.store, ROOT, BAD)[0].resolved_by == "oncall"
    assert f"Issue {issue.id} of" in text_of(app)


def test_notes_are_edited_and_the_same_notes_are_no_change(full, look):
    app = look(full, "oncall", "versions", v=BAD)
    button(app, f"edit-notes:{BAD}").click().run()
    app.text_area[0].set_value("Half as dear.")
    button(app, "go-edit-notes").click().run()
    assert registry.version(full.store, ROOT, BAD).notes == "Half as dear."
    button(app, f"edit-notes:{BAD}").click().run()
    button(app, "go-edit-notes").click().run()
    assert "Nothing changed:" in text_of(app)


def test_what_cannot_be_is_said_within_the_dialog_and_the_dialog_stays(full, look):
    app = look(full, "oncall", "versions", v=BAD)
    button(app, f"add-issue:{BAD}").click().run()
    button(app, "go-add-issue").click().run()
    assert len(app.get("dialog")) == 1
    assert "Nothing was changed." in text_of(app)
    assert registry.issues(full.store, ROOT, BAD) == []


def test_a_role_on_one_alias_is_not_enough_to_write_the_registry(full, look, guest):
    app = look(full, guest, "versions", v=BAD)
    assert button(app, f"add-issue:{BAD}").disabled
    with pytest.raises(NotPermitted):
        registry.add_issue(full.store, full.actor(guest), BAD, "x", now=full.now)


def test_what_others_wrote_about_a_version_is_shown_as_text(full, look):
    registry.add_issue(full.store, ROOT, BAD, '<img src=x onerror="alert(1)">', now=full.now)
    registry.note(full.store, ROOT, BAD, "<script>alert(2)</script>", now=full.now)
    drawn = bodies(look(full, "viewer", "versions", v=BAD))
    assert "<img" not in drawn
    assert "<script>alert" not in drawn


# -- audit ------------------------------------------------------------------------------------------


def test_the_log_says_who_did_what_from_where_to_where_and_why(full, look):
    said = text_of(look(full, "viewer", "audit", alias=ALIAS))
    assert f"stable {GOOD} → to {BAD}" in said
    assert "newer" in said
    assert "alias.flipped" in said


def test_filters_of_the_address_lead_to_the_events_and_no_others(full, look):
    with pytest.raises(NotPermitted):
        flips.flip(full.store, full.actor("viewer"), ALIAS, OLD, seen_revision=3, now=datetime.now(UTC))
    said = text_of(look(full, "viewer", "audit", outcome="refused"))
    assert "block Refused" in said
    assert "not_permitted" in said
    assert "check_circle Done" not in said
    assert "alias.created" not in text_of(look(full, "viewer", "audit", action="alias.flipped", alias=ALIAS))
    assert "No event fits." in text_of(look(full, "viewer", "audit", who="nobody-at-all"))
    assert "version.registered" in text_of(look(full, "viewer", "audit", alias=f"version:{BAD}"))
    assert "alias.created" not in text_of(look(full, "viewer", "audit", alias=ALIAS, **{"from": "2h"}))


def test_a_time_that_is_none_is_said_and_the_rest_of_the_page_stays(full, look):
    said = text_of(look(full, "viewer", "audit", **{"from": "yesterdayish"}))
    assert "'yesterdayish' is no time." in said
    assert "Is the log whole?" in said


def test_the_export_asks_for_what_the_page_shows(full, look):
    drawn = bodies(look(full, "viewer", "audit", alias=ALIAS, outcome="done"))
    assert 'href="/export/audit.csv?alias=prod-math&amp;outcome=done"' in drawn
    assert 'href="/export/audit.json?alias=prod-math&amp;outcome=done"' in drawn


def test_paging_goes_to_older_events_and_back_and_a_new_filter_begins_anew(full, look):
    for number in range(60):
        registry.note(full.store, ROOT, OLD, f"note {number}", now=full.now)
    app = look(full, "viewer", "audit")
    assert button(app, "newer").disabled
    newest = text_of(app)
    button(app, "older").click().run()
    assert "note 59" in newest
    assert "note 59" not in text_of(app)
    assert button(app, "older").disabled
    button(app, "newer").click().run()
    assert "note 59" in text_of(app)
    button(app, "older").click().run()
    app.text_input(key="who").set_value("local:tests").run()
    assert "note 59" in text_of(app)


def test_what_served_at_a_time_names_who_decided_it(full, look):
    at = (full.now - timedelta(hours=2)).isoformat()
    said = text_of(look(full, "viewer", "audit", served=ALIAS, at=at))
    assert f"{ALIAS} meant {GOOD} (revision 2)" in said
    assert "local:tests decided it: flipped" in said
    assert "“better sums”" in said
    assert "when local:tests moved the alias (revision 3, flipped)" in said
    assert "before that nothing served it" in text_of(look(full, "viewer", "audit", served=ALIAS, at="90d"))


def test_verifying_says_that_the_log_is_whole_with_its_head(full, look):
    app = look(full, "viewer", "audit")
    button(app, "verify").click().run()
    head = reading.audit_head(full.store, ROOT)
    assert "The log is whole." in text_of(app)
    assert head.head in text_of(app)
    button(app, "dismiss:verified").click().run()
    assert "The log is whole." not in text_of(app)


def test_a_log_that_was_tampered_with_is_named_by_its_event(full, look):
    with full.store.writes.execution_options(migrating=True).begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_event_no_update")
        connection.exec_driver_sql("UPDATE audit_event SET reason = 'something else' WHERE seq = 9")
    app = look(full, "viewer", "audit")
    button(app, "verify").click().run()
    assert "The log was tampered with" in text_of(app)
    assert "Event 9" in text_of(app)


def test_a_head_that_is_not_in_the_log_is_told_apart_from_a_whole_one(full, look):
    app = look(full, "viewer", "audit")
    app.text_input(key="noted-head").set_value("0" * 63 + "1")
    button(app, "verify").click().run()
    assert "rewritten as a whole" in text_of(app)


def test_whoever_holds_a_role_on_one_alias_is_told_who_may_read_the_log(full, look, guest):
    said = text_of(look(full, guest, "audit"))
    assert "Guest has no role; audit:read needs viewer." in said
    assert "Ask " in said
    assert "alias.flipped" not in said


# -- access -----------------------------------------------------------------------------------------


def test_the_matrix_of_roles_is_that_of_the_permission_table(full, look):
    said = text_of(look(full, "viewer", "access", part="Roles"))
    for action in ACTIONS:
        assert f"{action.name} {action.meaning}" in said


def test_an_admin_gives_a_role_on_one_alias_and_takes_it_again(full, look):
    app = look(full, "admin", "access", person="viewer")
    button(app, "give-role:viewer").click().run()
    app.selectbox[-2].set_value("operator").run()
    app.selectbox[-1].set_value(ALIAS).run()
    button(app, "go-give-role").click().run()
    given = Grant(Role.OPERATOR, ALIAS)
    assert given in full.actor("viewer").grants
    assert f"viewer is operator on {ALIAS} from now on." in text_of(app)
    button(app, f"take-role:{about_grant('viewer', given)}").click().run()
    button(app, "go-take-role").click().run()
    assert full.actor("viewer").grants == (Grant(Role.VIEWER),)


def test_a_grant_survives_its_way_through_the_address_of_a_press():
    for grant in (Grant(Role.ADMIN), Grant(Role.VIEWER, ALIAS)):
        assert grant_in(about_grant("ann", grant)) == ("ann", grant)


def test_the_last_admin_cannot_be_taken_and_the_page_says_why(full, look):
    app = look(full, "admin", "access", person="admin")
    button(app, "take-role:admin admin").click().run()
    button(app, "go-take-role").click().run()
    assert "is the last admin. Make somebody else admin first." in text_of(app)
    assert full.actor("admin").grants == (Grant(Role.ADMIN),)


def test_disabling_ends_sessions_and_enabling_opens_the_account_again(full, look):
    full.secret_of("lee")
    app = look(full, "admin", "access", person="lee")
    assert "Began" in text_of(app)
    button(app, "disable:lee").click().run()
    button(app, "go-disable").click().run()
    assert "The account lee is disabled" in text_of(app)
    assert "Not signed in anywhere." in text_of(app)
    button(app, "enable:lee").click().run()
    button(app, "go-enable").click().run()
    assert "The account lee is enabled." in text_of(app)
    button(app, "disable:lee").click().run()
    button(app, "go-disable").click().run()
    assert access.people(full.store, ROOT)[1].disabled_at is not None


def test_sessions_of_somebody_are_ended(full, look):
    secret = full.secret_of("lee")
    app = look(full, "admin", "access", person="lee")
    button(app, "end-sessions:lee").click().run()
    button(app, "go-end-sessions").click().run()
    assert "1 session of lee ended." in text_of(app)
    with pytest.raises(Exception, match="session has ended"):
        access.who_is(full.store, secret, now=datetime.now(UTC))


def test_a_token_is_shown_once_and_a_second_click_makes_no_second(full, look):
    app = look(full, "oncall", "access", part="Tokens")
    button(app, "create-token:page:access").click().run()
    app.text_input[0].set_value("laptop")
    button(app, "go-create-token").click().run()
    [token] = access.tokens(full.store, full.actor("oncall"))
    secret = app.code[0].value
    assert secret.startswith(f"pr_{token.id}_")
    assert access.actor_for_token(full.store, secret, now=datetime.now(UTC)).name == "oncall"
    assert "Copy it now" in text_of(app)
    button(app, "dismiss:page:access").click().run()
    assert not app.code
    assert secret not in text_of(app)


def test_a_viewer_makes_tokens_of_their_own_and_no_caller_keys(full, look):
    app = look(full, "viewer", "access", part="Tokens")
    assert not button(app, "create-token:page:access").disabled
    app = look(full, "viewer", "access", part="Caller keys")
    assert button(app, "create-key:page:access").disabled


def test_a_key_is_revoked_only_by_typing_whose_it_is(full, look):
    [key] = callers.keys(full.store, ROOT)
    app = look(full, "admin", "access", part="Caller keys")
    button(app, f"revoke-key:{key.id} web").click().run()
    app.text_input[0].set_value("wob")
    button(app, "go-revoke-key").click().run()
    assert "What you typed is not web. Nothing was changed." in text_of(app)
    assert callers.keys(full.store, ROOT)[0].revoked_at is None
    app.text_input[0].set_value("web")
    button(app, "go-revoke-key").click().run()
    assert callers.keys(full.store, ROOT)[0].revoked_at is not None


def test_can_i_answers_with_the_reason_and_who_can(full, look):
    app = look(full, "viewer", "access", part="Can I…?")
    said = text_of(app)
    assert "viewer is viewer; alias:roll_back needs operator." in said
    assert "Who can: admin, lee and oncall." in said
    app.selectbox(key="can-who").set_value("oncall").run()
    assert "oncall is operator; alias:roll_back needs operator." in text_of(app)


def test_a_role_on_one_alias_sees_its_own_account_and_what_it_can(full, look, guest):
    said = text_of(look(full, guest, "access"))
    assert "You see your own account" in said
    assert "operator on prod-math" in said
    assert "oncall" not in said
    app = look(full, guest, "access", part="Can I…?")
    assert "guest has no role; alias:roll_back needs operator." in text_of(app)
    app.selectbox(key="can-alias").set_value(ALIAS).run()
    assert "guest is operator on prod-math; alias:roll_back needs operator." in text_of(app)


def test_a_role_taken_while_the_dialog_is_open_stops_the_write_at_the_click(full, look):
    access.grant(full.store, ROOT, "lee", Grant(Role.ADMIN), now=full.now)
    app = look(full, "lee", "access", person="viewer")
    button(app, "disable:viewer").click().run()
    access.ungrant(full.store, ROOT, "lee", Grant(Role.ADMIN), now=full.now)
    button(app, "go-disable").click().run()
    assert "Not permitted" in text_of(app)
    assert full.actor("viewer").name == "viewer"


# -- gateways ---------------------------------------------------------------------------------------


def test_gateways_say_how_far_they_followed_and_receipts_where_revisions_are_in_force(full, look):
    with gateways(full.store, "gateway-1", "gateway-2", deaf=("gateway-2",)):
        said = text_of(look(full, "viewer", "gateways"))
    assert "gateway-1 check_circle Current" in said
    assert "gateway-2 sync_problem Behind" in said
    assert "gateway-2 did not take the newest changes" in said
    assert f"{ALIAS} revision 3 {BAD}" in said
    assert "1 of 2 gateways" in said


def test_receipts_of_aliases_one_may_not_see_are_not_shown(full, look, guest):
    flips.create(full.store, ROOT, "secret-plans", OLD, now=full.now)
    assert "secret-plans" not in text_of(look(full, guest, "gateways"))


# -- settings ---------------------------------------------------------------------------------------


def test_settings_say_what_is_connected_and_show_no_secret(full, look):
    said = text_of(look(full, "viewer", "settings"))
    assert "acme recorded http://127.0.0.1:9/v1 none needed 3" in said
    assert "known to the gateways alone" in said
    assert "No scheduler ever ran on this store" in said
    assert "verify-audit" in said
    assert "PINRAIL_GATEWAY_PORT 8080" in said


# -- whole ------------------------------------------------------------------------------------------


def test_every_standing_state_and_outcome_has_a_look():
    assert STANDING_LOOKS.keys() == STANDINGS.keys()
    assert LOOKS.keys() == STATES.keys()


@pytest.mark.parametrize("kind", [*ACCESS, *VERSIONS])
def test_every_question_names_an_action_and_the_command_that_does_the_same(kind):
    question = {**ACCESS, **VERSIONS}[kind]
    assert question.action in {action.name for action in ACTIONS}
    assert question.command.startswith("pinrail ")


def test_a_secret_that_ended_is_told_apart_from_one_that_was_revoked():
    now = datetime(2026, 11, 24, tzinfo=UTC)
    made = Secret("1", "ann", "t", "read", None, now, "ann", now, None)
    assert made.state(now) == "expired"
    assert "alias.flipped" in EVENTS
