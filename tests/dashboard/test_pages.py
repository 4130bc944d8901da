"""What the pages say to whom, from a real store."""

from datetime import UTC, datetime, timedelta

from core.domain.permissions import Grant, Role
from core.services import access, flips, registry, serving
from tests.dashboard.conftest import text_of
from tests.dashboard.stage import ALIAS, BAD, GOOD, OLD, ROOT, gateways, traffic


def button(app, key):
    return app.button(key=key)


# -- who looks --------------------------------------------------------------------------------------


def test_nobody_sees_a_page_without_a_session_and_the_way_back_is_kept(full, look):
    app = look(full, None)
    assert "Sign in to Pinrail" in text_of(app)
    assert ALIAS not in text_of(app)
    [gate] = [e.proto.body for e in app.get("html") if 'class="pr-gate"' in e.proto.body]
    assert "/sign-in?next=%2F" in gate


def test_a_session_that_was_revoked_ends_at_the_next_run(full, look):
    app = look(full, "oncall", "alias", name=ALIAS)
    access.revoke_sessions(full.store, ROOT, "oncall", now=datetime.now(UTC))
    app.run()
    assert "Your session has ended" in text_of(app)
    assert BAD not in text_of(app)


def test_whoever_may_see_one_alias_sees_that_one_only(full, look):
    flips.create(full.store, ROOT, "secret-plans", OLD, now=full.now)
    access.add_person(full.store, ROOT, "guest", password="a long enough password", now=full.now)
    access.grant(full.store, ROOT, "guest", Grant(Role.VIEWER, ALIAS), now=full.now)
    seen = text_of(look(full, "guest"))
    assert ALIAS in seen
    assert "secret-plans" not in seen
    assert "Not permitted" in text_of(look(full, "guest", "alias", name="secret-plans"))


def test_a_store_that_is_gone_is_said_in_a_sentence(full, look):
    app = look(full, "oncall")
    full.store.close()
    path = full.store.url.removeprefix("sqlite:///")
    with open(path, "wb") as emptied:
        emptied.write(b"no database" * 400)
    app.run()
    assert not app.exception
    assert app.error[0].proto.title == "The store cannot be read"


# -- overview ---------------------------------------------------------------------------------------


def test_an_empty_installation_shows_the_five_steps_to_the_first_answer(bare, look):
    said = text_of(look(bare, "admin"))
    assert "No aliases yet" in said
    for command in ("provider register", "version register", "alias create", "caller create", "/v1/chat/completions"):
        assert command in said


def test_a_step_that_was_taken_is_ticked_and_its_command_gone(bare, look):
    from core.domain.versions import Provider

    registry.register_provider(bare.store, ROOT, Provider("acme", "recorded", "http://127.0.0.1:9/v1"), now=bare.now)
    said = text_of(look(bare, "admin"))
    assert "Done" in said
    assert "provider register" not in said


def test_the_overview_names_what_is_wrong_and_shows_no_button_that_moves_anything(full, look):
    with gateways(full.store, "gateway-1"):
        for minute in (1, 2, 3):
            traffic(full, BAD, minutes_ago=minute, requests=60, errors=12)
        traffic(full, GOOD, minutes_ago=30, requests=300, errors=1)
        app = look(full, "oncall")
    said = text_of(app)
    assert "Needs attention (1)" in said
    assert "Degraded" in said
    assert "before the last move errors were 0.3%" in said
    assert not app.button


def test_an_installation_without_a_gateway_says_so_first(full, look):
    said = text_of(look(full, "oncall"))
    assert "No gateway was heard of" in said
    assert "python3 -m app gateway" in said


def test_all_well_is_said_in_words_with_the_last_change(full, look):
    with gateways(full.store, "gateway-1"):
        traffic(full, BAD, minutes_ago=1, requests=100)
        said = text_of(look(full, "oncall"))
    assert "Nothing needs attention" in said
    assert "Last change: 12 min ago. 1 gateway running." in said


def test_the_last_day_lists_both_flips_with_their_reasons(full, look):
    said = text_of(look(full, "oncall"))
    assert "newer" in said
    assert f"{GOOD} → to {BAD}" in said


def test_a_search_without_a_match_says_so_and_leads_back(full, look):
    said = text_of(look(full, "oncall", q="nothing-like-it"))
    assert "No alias matches ‘nothing-like-it’." in said
    assert "Clear the filter" in said


def test_the_filter_in_the_address_holds(full, look):
    assert "There are no aliases that are held." in text_of(look(full, "oncall", show="Held"))
    assert "Aliases 1" in text_of(look(full, "oncall", show="Mine"))


# -- the alias page ---------------------------------------------------------------------------------


def test_the_page_says_what_changed_when_and_by_whom(full, look):
    said = text_of(look(full, "oncall", "alias", name=ALIAS))
    assert "(12 min ago) · flipped by local:tests" in said
    assert "“newer”" in said
    assert "prompt math-v1 → to math-v2" in said
    assert "temperature 0.0 → to 0.7" in said


def test_the_button_names_the_version_it_leads_to(full, look):
    app = look(full, "oncall", "alias", name=ALIAS)
    assert button(app, f"trigger-{ALIAS}").label == f"Roll back to {GOOD}"
    assert not button(app, f"trigger-{ALIAS}").disabled


def test_figures_are_compared_with_the_hour_before_and_always_say_how_many(full, look):
    with gateways(full.store, "gateway-1"):
        for minute in (1, 2, 3):
            traffic(full, BAD, minutes_ago=minute, requests=60, errors=12, valid=False, latency_ms=2000)
        traffic(full, GOOD, minutes_ago=30, requests=300, errors=3, latency_ms=300)
        said = text_of(look(full, "oncall", "alias", name=ALIAS))
    assert "20.0%" in said
    assert "+19.0 pp, worse" in said
    assert "n = 180 requests in 5 min, 300 before" in said
    assert "-100" not in said
    assert "−100.0 pp, worse" in said


def test_without_traffic_the_figures_say_no_data_and_the_state_is_unknown(full, look):
    with gateways(full.store, "gateway-1"):
        said = text_of(look(full, "oncall", "alias", name=ALIAS))
    assert said.count("No data") == 3
    assert "Unknown 0 requests in 5 min are too few to tell" in said
    assert "Healthy" not in said


def test_a_viewer_sees_the_button_disabled_with_the_reason_and_who_can(full, look):
    app = look(full, "viewer", "alias", name=ALIAS)
    assert button(app, f"trigger-{ALIAS}").disabled
    assert button(app, f"flip:{ALIAS}").disabled
    assert button(app, f"hold:{ALIAS}").disabled
    assert "viewer is viewer on prod-math; alias:roll_back needs operator. Ask lee, oncall or admin." in text_of(app)


def test_without_a_target_the_page_says_why_and_offers_a_flip(full, look):
    flips.create(full.store, ROOT, "fresh", OLD, now=full.now)
    app = look(full, "oncall", "alias", name="fresh")
    assert button(app, "trigger-fresh").disabled
    assert "There is no version to roll back to" in text_of(app)
    assert not button(app, "flip-instead:fresh").disabled


def test_a_name_that_is_not_there_leads_to_the_closest(full, look):
    app = look(full, "oncall", "alias", name="prod-mth")
    assert "There is no alias ‘prod-mth’" in text_of(app)
    assert any('href="/alias?name=prod-math"' in e.proto.body for e in app.get("html"))


def test_without_a_name_the_page_lists_the_aliases(full, look):
    said = text_of(look(full, "oncall", "alias"))
    assert "Which alias?" in said
    assert ALIAS in said


def test_what_others_wrote_is_shown_as_text_and_never_as_markup(full, look):
    reason = '<img src=x onerror="alert(1)"> [a](http://evil.example)'
    flips.flip(full.store, ROOT, ALIAS, OLD, seen_revision=3, reason=reason, now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS)
    bodies = "".join(e.proto.body for e in app.get("html"))
    assert "<img" not in bodies
    assert "&lt;img src=x" in bodies


def test_known_issues_of_what_serves_stand_on_the_page(full, look):
    registry.add_issue(full.store, ROOT, BAD, "wrong above ten thousand", now=full.now)
    assert "Known issue: Wrong above ten thousand." in text_of(look(full, "oncall", "alias", name=ALIAS))


def test_every_gateway_is_named_with_the_revision_it_serves(full, look):
    with gateways(full.store, "gateway-1", "gateway-2", deaf=("gateway-2",)):
        import time

        deadline = time.monotonic() + 5
        while not serving.receipt(full.store, ALIAS, 3, now=datetime.now(UTC)).confirmed:
            assert time.monotonic() < deadline
        said = text_of(look(full, "oncall", "alias", name=ALIAS))
    assert "gateway-1 check_circle Serves revision 3" in said
    assert "gateway-2 sync_problem Behind did not confirm revision 3" in said


def test_a_retired_alias_offers_no_move(full, look):
    flips.retire(full.store, ROOT, ALIAS, seen_revision=3, now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS)
    assert "is retired: its callers are refused" in text_of(app)
    assert not [b for b in app.button if b.key and b.key.startswith("trigger-")]


def test_a_link_may_open_a_dialog_but_never_acts_and_is_forgotten_at_once(full, look):
    app = look(full, "oncall", "alias", name=ALIAS, do="rollback", incident="INC-4821")
    assert len(app.get("dialog")) == 1
    assert "do" not in app.query_params
    assert full.newest().number == 3
    assert f"Send 100% of {ALIAS} traffic to {GOOD}" in text_of(app)


def test_the_dialog_says_what_changes_and_what_does_not(full, look):
    registry.add_issue(full.store, ROOT, GOOD, "slow on Mondays", now=full.now)
    said = text_of(look(full, "oncall", "alias", name=ALIAS, do="rollback"))
    assert f"Version {BAD} {GOOD}" in said
    assert "Prompt math-v2 math-v1" in said
    assert "temperature 0.7 0.0" in said
    assert f"holds {ALIAS}, so that no automatic step brings the version back" in said
    assert "Not changed: answers already given or still streaming" in said
    assert "Known issue: Slow on Mondays." in said
    assert "Unproven since" in said


def test_a_link_to_a_version_that_never_served_well_says_so_and_offers_the_best(full, look):
    said = text_of(look(full, "oncall", "alias", name=ALIAS, do="rollback", to="no-such-version"))
    assert f"no-such-version cannot be rolled back to: it never served {ALIAS} well. Chosen instead: {GOOD}." in said


def test_a_viewer_may_read_the_dialog_and_not_confirm_it(full, look):
    app = look(full, "viewer", "alias", name=ALIAS, do="rollback")
    assert button(app, "go-roll back").disabled
    assert "Not permitted: viewer is viewer" in text_of(app)


def test_a_protected_alias_says_before_the_click_why_it_cannot_be_flipped(full, look):
    flips.protect(full.store, ROOT, ALIAS, protected=True, seen_revision=3, now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS, do="flip")
    assert button(app, "go-flip").disabled
    assert "prod-math is protected" in text_of(app)
    assert not button(app, f"trigger-{ALIAS}").disabled


def test_the_history_offers_undo_only_where_it_applies(full, look):
    flips.hold(full.store, ROOT, ALIAS, seen_revision=3, now=full.now)
    app = look(full, "oncall", "alias", name=ALIAS)
    app.session_state[f"history-{ALIAS}"] = True
    app.run()
    offered = {b.key for b in app.button if b.key and b.key.startswith("undo:")}
    assert offered == {"undo:3", "undo:4"}


def test_hold_is_one_click_with_a_way_back_in_the_banner(full, look):
    app = look(full, "oncall", "alias", name=ALIAS)
    button(app, f"hold:{ALIAS}").click().run()
    assert full.newest().held_by == "oncall"
    assert "Held. Automatic steps leave prod-math alone" in text_of(app).replace("**", "")
    assert button(app, f"undo-last:{ALIAS}").label == "Undo"


def test_the_demo_says_that_it_is_one_and_other_stores_do_not(full, look):
    assert "This is the demo" not in text_of(look(full, "oncall"))


def test_a_hold_of_more_than_a_day_needs_attention(full, look):
    day = full.now - timedelta(hours=25)
    flips.create(full.store, ROOT, "long-held", OLD, now=day)
    flips.hold(full.store, ROOT, "long-held", seen_revision=1, reason="audit", now=day)
    with gateways(full.store, "gateway-1"):
        said = text_of(look(full, "oncall"))
    assert "Held by local:tests: audit." in said
