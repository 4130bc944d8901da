"""What the records pages read: standings, terms, filters that page, receipts and lag, on both stores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.permissions import Actor, ActorKind, Grant, Role
from core.domain.versions import DataVersion, Provider, Version
from core.errors import InvalidInput, NotPermitted, UnknownRevision, UnknownVersion
from core.services import access, callers, flips, reading, records, registry, serving
from core.store import leases, migrate, read_audit
from core.store.database import Store, open_store
from core.store.read_audit import Filter

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ADMIN = Actor("root", ActorKind.LOCAL, (Grant(Role.ADMIN),))
GUEST = Actor("guest", ActorKind.PERSON, (Grant(Role.VIEWER, "other"),))
VIEWER = Actor("vera", ActorKind.PERSON, (Grant(Role.VIEWER),))


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """Versions a to d; prod went a, b, a and falls back to c; other serves b."""
    opened = open_store(database_url)
    migrate.upgrade(opened)
    registry.register_provider(opened, ADMIN, Provider("acme", "recorded", "http://127.0.0.1:9/v1"), now=ago(days=9))
    registry.register_prompt(opened, ADMIN, "p-1", "Be brief.", now=ago(days=9))
    registry.register_data_version(opened, ADMIN, DataVersion("d-1", rows=10), now=ago(days=9))
    for name in "abcd":
        made = Version(name, "acme", f"m-{name}", prompt="p-1" if name in "ab" else None, data_versions=("d-1",))
        registry.register_version(opened, ADMIN, made, now=ago(days=9))
    flips.create(opened, ADMIN, "prod", "a", now=ago(days=5))
    flips.flip(opened, ADMIN, "prod", "b", seen_revision=1, reason="better", now=ago(days=2))
    flips.roll_back(opened, ADMIN, "prod", seen_revision=2, reason="worse", now=ago(days=1))
    flips.describe(opened, ADMIN, "prod", fallbacks=("c",), seen_revision=3, now=ago(hours=3))
    flips.create(opened, ADMIN, "other", "b", now=ago(hours=2))
    yield opened
    opened.close()


# -- versions ---------------------------------------------------------------------------------------


def test_every_version_says_where_it_stands(store):
    found = {one.version.name: one.use for one in records.version_list(store, ADMIN)}
    assert {name: use.standing for name, use in found.items()} == {
        "a": "serving",
        "b": "serving",
        "c": "fallback",
        "d": "never served",
    }
    assert (found["a"].serving, found["c"].fallback_of) == (("prod",), ("prod",))


def test_a_version_that_nothing_uses_any_more_served_before(store):
    flips.flip(store, ADMIN, "other", "d", seen_revision=1, now=NOW)
    [b] = [one for one in records.version_list(store, ADMIN) if one.version.name == "b"]
    assert b.use.standing == "served before"


def test_an_alias_one_may_not_see_is_counted_and_never_named(store):
    found = {one.version.name: one.use for one in records.version_list(store, GUEST)}
    assert (found["a"].serving, found["a"].unseen, found["a"].standing) == ((), 1, "serving")
    assert found["b"].serving == ("other",)
    assert [term.alias for term in records.version_page(store, GUEST, "b").terms] == ["other"]


def test_the_terms_of_a_version_say_by_which_revisions_it_came_and_went(store):
    terms = records.version_page(store, ADMIN, "a").terms
    assert [(t.alias, t.since.number, t.until.number if t.until else None) for t in terms] == [
        ("prod", 3, None),
        ("prod", 1, 2),
    ]


def test_retiring_an_alias_ends_the_term_of_its_version(store):
    flips.retire(store, ADMIN, "prod", seen_revision=4, now=NOW)
    page = records.version_page(store, ADMIN, "a")
    assert page.terms[0].until is not None
    assert page.use.standing == "served before"


def test_lineage_names_the_versions_with_the_same_prompt_and_data(store):
    page = records.version_page(store, ADMIN, "a")
    assert page.prompt is not None
    assert page.prompt.name == "p-1"
    assert [data.name for data in page.data] == ["d-1"]
    assert page.shares == {"model": (), "prompt": ("b",), "data": ("b", "c", "d")}


def test_open_issues_are_counted_and_resolved_ones_stay_on_the_record(store):
    made = registry.add_issue(store, ADMIN, "a", "slow", now=NOW)
    assert [one.open_issues for one in records.version_list(store, ADMIN) if one.version.name == "a"] == [1]
    registry.resolve_issue(store, ADMIN, made.id, now=NOW)
    assert [one.open_issues for one in records.version_list(store, ADMIN) if one.version.name == "a"] == [0]
    assert len(records.version_page(store, ADMIN, "a").issues) == 1


def test_an_unknown_version_names_the_nearest(store):
    registry.register_version(store, ADMIN, Version("chat-2026", "acme", "m"), now=NOW)
    with pytest.raises(UnknownVersion, match="Closest: chat-2026"):
        records.version_page(store, ADMIN, "chat-206")


# -- audit ------------------------------------------------------------------------------------------


def kinds(store: Store, **wanted: object) -> list[str]:
    page = records.audit_page(store, ADMIN, Filter(**wanted))  # type: ignore[arg-type]
    return [entry.event.kind for entry in page.entries]


def test_each_filter_lets_through_what_fits_and_nothing_else(store):
    with pytest.raises(NotPermitted):
        flips.flip(store, GUEST, "prod", "d", seen_revision=4, now=NOW)
    assert kinds(store, who="guest") == ["alias.flipped"]
    assert kinds(store, outcome="refused") == ["alias.flipped"]
    assert kinds(store, subject="alias:other") == ["alias.created"]
    assert kinds(store, kind="alias.rolled_back") == ["alias.rolled_back"]
    assert kinds(store, since=ago(days=1), until=ago(hours=2)) == ["alias.described", "alias.rolled_back"]


def test_pages_follow_each_other_without_a_gap_or_a_repeat_even_while_events_arrive(store):
    seen: list[int] = []
    before: int | None = None
    while True:
        page = read_audit.audit_page(store, Filter(), before=before, limit=4)
        seen.extend(entry.seq for entry in page.entries)
        registry.note(store, ADMIN, "d", f"note {len(seen)}", now=NOW)
        before = page.before
        if before is None:
            break
    assert seen == list(range(max(seen), 0, -1))


def test_an_export_goes_on_over_batches_and_ends_at_its_limit(store, monkeypatch):
    monkeypatch.setattr(read_audit, "BATCH", 3)
    everything = [entry.seq for entry in read_audit.exported(store, Filter())]
    assert everything == list(range(len(everything), 0, -1))
    assert [entry.seq for entry in read_audit.exported(store, Filter(), most=5)] == everything[:5]


def test_a_time_that_cannot_be_and_a_kind_that_is_none_are_refused(store):
    with pytest.raises(InvalidInput, match="no event can fit"):
        records.audit_page(store, ADMIN, Filter(since=NOW, until=ago(days=1)))
    with pytest.raises(InvalidInput, match="There is no audit event"):
        records.audit_page(store, ADMIN, Filter(kind="alias.exploded"))


def test_whoever_holds_a_role_on_one_alias_reads_neither_log_nor_export(store):
    with pytest.raises(NotPermitted):
        records.audit_page(store, GUEST, Filter())
    with pytest.raises(NotPermitted):
        records.exported(store, GUEST, Filter())


# -- what served at a time --------------------------------------------------------------------------


def test_what_served_names_the_decision_and_not_a_later_edit(store):
    found = records.served(store, ADMIN, "prod", ago(hours=1))
    assert (found.in_force.number, found.decided.number, found.decided.reason) == (4, 3, "worse")
    assert found.until is None


def test_what_served_in_between_says_until_when(store):
    found = records.served(store, ADMIN, "prod", ago(days=1.5))
    assert found.in_force.state.stable == "b"
    assert found.until is not None
    assert found.until.number == 3


def test_before_an_alias_was_created_nothing_served_it(store):
    with pytest.raises(UnknownRevision, match="before that nothing served it"):
        records.served(store, ADMIN, "prod", ago(days=6))


# -- access -----------------------------------------------------------------------------------------


@pytest.fixture
def people(store: Store) -> Store:
    """Ann is admin, Vera a viewer with a token and a session."""
    access.add_person(store, ADMIN, "ann", password="a long enough password", role=Role.ADMIN, now=NOW)
    access.add_person(store, ADMIN, "vera", password="a long enough password", role=Role.VIEWER, now=NOW)
    access.sign_in(store, "ann", "a long enough password", address="10.0.0.1", now=NOW)
    access.create_token(store, ADMIN, "cron", scope="read", person="ann", now=NOW)
    access.create_token(store, ADMIN, "mine", scope="read", person="vera", now=NOW)
    callers.create_key(store, ADMIN, "web", now=NOW)
    return store


def test_an_admin_sees_sessions_and_tokens_of_everybody_and_a_viewer_only_their_own(people):
    full = records.access_page(people, ADMIN, now=NOW)
    assert {token.of for token in full.tokens} == {"ann", "vera"}
    assert [len(person.sessions or ()) for person in full.people] == [1, 0]
    seen = records.access_page(people, VIEWER, now=NOW)
    assert {token.of for token in seen.tokens} == {"vera"}
    assert {person.name: person.sessions for person in seen.people} == {"ann": None, "vera": ()}
    assert [key.of for key in seen.keys] == ["web"]


def test_whoever_holds_no_role_everywhere_sees_their_own_account_only(people):
    access.add_person(people, ADMIN, "guest", now=NOW)
    with pytest.raises(NotPermitted):
        records.access_page(people, GUEST, now=NOW)
    own = records.own_access(people, GUEST, now=NOW)
    assert [person.name for person in own.people] == ["guest"]
    assert (own.keys, own.aliases) == ((), ("other",))


def test_a_session_that_ran_out_is_not_open(people):
    later = records.access_page(people, ADMIN, now=NOW + timedelta(days=1))
    assert [person.sessions for person in later.people] == [(), ()]


def test_a_token_works_until_it_is_revoked_or_has_ended(people):
    made, _secret = access.create_token(
        people, ADMIN, "short", scope="read", person="vera", expires_at=NOW + timedelta(hours=1), now=NOW
    )
    [short] = [t for t in records.access_page(people, ADMIN, now=NOW).tokens if t.id == made.id]
    assert (short.state(NOW), short.state(NOW + timedelta(hours=1))) == ("works", "expired")
    access.revoke_token(people, ADMIN, made.id, now=NOW)
    [short] = [t for t in records.access_page(people, ADMIN, now=NOW).tokens if t.id == made.id]
    assert short.state(NOW) == "revoked"


def test_can_i_gives_the_reason_of_the_rule_and_a_disabled_account_may_nothing(people):
    page = records.access_page(people, ADMIN, now=NOW)
    vera = records.account(page, "vera")
    no = records.ruling(ADMIN, vera, "alias:flip", "prod")
    assert (no.allowed, no.because) == (False, "vera is viewer on prod; alias:flip needs operator")
    assert records.ruling(ADMIN, vera, "alias:read", "prod").allowed
    access.disable_person(people, ADMIN, "vera", now=NOW)
    vera = records.account(records.access_page(people, ADMIN, now=NOW), "vera")
    assert records.ruling(ADMIN, vera, "alias:read", "prod").because == "the account vera is disabled"


def test_one_may_ask_for_oneself_without_seeing_others(people):
    assert not records.ruling(GUEST, None, "alias:flip", "prod").allowed
    ann = records.account(records.access_page(people, ADMIN, now=NOW), "ann")
    with pytest.raises(NotPermitted):
        records.ruling(GUEST, ann, "alias:flip", "prod")


def test_the_matrix_of_roles_never_takes_away_what_a_lower_role_may():
    for _name, _meaning, allowed in records.role_matrix():
        assert list(allowed) == sorted(allowed)
        assert allowed[-1], "an admin may everything"


# -- gateways ---------------------------------------------------------------------------------------


def gateway(store: Store, name: str, *, serial: int | None, at: datetime = NOW) -> None:
    serving.join(store, replica=name, name=name, now=at)
    if serial is not None:
        serving.acknowledge(store, replica=name, serial=serial, at=at)


def states(store: Store, *, now: datetime = NOW) -> dict[str, tuple[str, int]]:
    page = records.gateways_page(store, ADMIN, now=now)
    return {one.replica.name: (one.state, one.changes_behind) for one in (*page.live, *page.gone)}


def test_every_gateway_says_how_far_it_has_followed(store):
    newest = serving.current_serial(store)
    gateway(store, "good", serial=newest)
    gateway(store, "late", serial=newest - 1)
    gateway(store, "quiet", serial=newest, at=ago(minutes=1))
    gateway(store, "ended", serial=newest)
    serving.leave(store, replica="ended", now=NOW)
    assert states(store) == {
        "good": ("current", 0),
        "late": ("behind", 1),
        "quiet": ("silent", 0),
        "ended": ("stopped", 0),
    }


def test_a_change_of_a_moment_ago_is_followed_and_not_missed(store):
    newest = serving.current_serial(store)
    gateway(store, "good", serial=newest)
    flips.hold(store, ADMIN, "other", seen_revision=1, now=NOW)
    assert states(store)["good"] == ("following", 1)
    later = NOW + timedelta(seconds=16)
    serving.heartbeat(store, replica="good", now=later, dropped=7)
    assert states(store, now=later)["good"] == ("behind", 1)
    assert records.gateways_page(store, ADMIN, now=later).dropped == 7


def test_receipts_are_those_of_the_newest_revisions_and_of_aliases_one_may_see(store):
    gateway(store, "good", serial=serving.current_serial(store))
    receipts = records.gateways_page(store, ADMIN, now=NOW).receipts
    assert [(r.alias, r.revision) for r in receipts] == [
        ("other", 1),
        ("prod", 4),
        ("prod", 3),
        ("prod", 2),
        ("prod", 1),
    ]
    assert receipts[0] == reading.receipt(store, ADMIN, "other", 1, now=NOW)
    assert {r.alias for r in records.gateways_page(store, GUEST, now=NOW).receipts} == {"other"}


def test_a_gateway_that_is_gone_for_a_day_is_forgotten(store):
    gateway(store, "old", serial=1, at=ago(days=2))
    assert states(store) == {}


# -- settings ---------------------------------------------------------------------------------------


def test_settings_say_what_is_connected_and_who_runs_the_jobs(store):
    lease = leases.take(store, "scheduler", holder="here", lasts=timedelta(seconds=15), now=NOW)
    assert lease is not None
    run = leases.claim(store, lease, "prune", NOW, now=NOW)
    assert run is not None
    leases.finish(store, lease, run, leases.DONE, "removed 3 sessions", now=NOW)
    page = records.settings_page(store, VIEWER)
    assert [(one.provider.name, one.versions) for one in page.providers] == [("acme", 4)]
    assert (page.counts["aliases"], page.counts["versions"]) == (2, 4)
    assert page.schema == page.newest_schema
    assert page.lease is not None
    assert page.lease.holder == "here"
    assert [(one.job, one.note) for one in page.runs] == [("prune", "removed 3 sessions")]
