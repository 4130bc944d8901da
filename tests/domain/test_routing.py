"""Which version answers a request: sticky roads, honest shares, and the copy on disk."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from core.domain.routing import (
    EMPTY,
    AliasRoute,
    CallerKey,
    ProviderAddress,
    RouteTable,
    Target,
    Variant,
    choose,
    from_document,
    to_document,
)
from core.errors import UnknownAlias

KEYS = st.text(max_size=40)
SHARES = st.floats(0, 1, allow_nan=False)


def table_with(candidate_share: float, alias: str = "prod") -> RouteTable:
    variants = (Variant("candidate", "new", candidate_share), Variant("stable", "old", 1 - candidate_share))
    return RouteTable(1, {alias: AliasRoute(alias, 3, variants, ("spare",))})


@given(key=KEYS, one=SHARES, other=SHARES)
def test_a_conversation_keeps_its_road_while_the_share_grows(key, one, other):
    smaller, larger = sorted((one, other))
    if choose(table_with(smaller), "prod", key).variant == "candidate":
        assert choose(table_with(larger), "prod", key).variant == "candidate"


@given(key=KEYS)
def test_one_conversation_always_takes_the_same_road(key):
    assert choose(table_with(0.5), "prod", key) == choose(table_with(0.5), "prod", key)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_candidate_gets_its_share_of_conversations(share):
    table, calls = table_with(share), 20_000
    taken = sum(choose(table, "prod", f"conversation-{n}").variant == "candidate" for n in range(calls))
    four_sigmas = 4 * (share * (1 - share) / calls) ** 0.5
    assert abs(taken / calls - share) < four_sigmas


def test_nothing_goes_to_a_share_of_none_and_everything_to_a_share_of_all():
    keys = [f"conversation-{n}" for n in range(2000)]
    assert {choose(table_with(0.0), "prod", key).variant for key in keys} == {"stable"}
    assert {choose(table_with(1.0), "prod", key).variant for key in keys} == {"candidate"}


def test_aliases_do_not_send_the_same_conversations_to_their_candidates():
    keys = [f"conversation-{n}" for n in range(2000)]
    one = {key for key in keys if choose(table_with(0.5), "prod", key).variant == "candidate"}
    other = {key for key in keys if choose(table_with(0.5, "math"), "math", key).variant == "candidate"}
    assert 0.4 < len(one & other) / len(one) < 0.6


def test_a_route_names_revision_version_fallbacks_and_its_reason():
    table = RouteTable(1, {"prod": AliasRoute("prod", 7, (Variant("stable", "old", 1.0),), ("spare",))})
    route = choose(table, "prod")
    assert (route.revision, route.version, route.variant, route.fallbacks) == (7, "old", "stable", ("spare",))
    assert route.because == "old serves 100 %"
    assert choose(table_with(0.25), "prod", "x").because.endswith(("candidate at 25%", "stable at 75%"))


def test_half_a_surrogate_pair_finds_its_road_too():
    assert choose(table_with(0.5), "prod", "\ud83d").version in ("old", "new")


def test_an_unknown_alias_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownAlias, match=r"There is no alias 'prd'. Closest: prod."):
        choose(table_with(0.5), "prd")
    with pytest.raises(UnknownAlias, match=r"There is no alias 'prod'\."):
        choose(EMPTY, "prod")


# -- the copy on disk -----------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=12)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ROUTES = st.builds(
    AliasRoute,
    alias=NAMES,
    revision=st.integers(1),
    variants=st.lists(st.builds(Variant, NAMES, NAMES, SHARES), min_size=1, max_size=3).map(tuple),
    fallbacks=st.lists(NAMES, max_size=3).map(tuple),
)
TARGETS = st.builds(
    Target,
    version=NAMES,
    provider=NAMES,
    model_id=NAMES,
    prompt=st.none() | NAMES,
    prompt_text=st.none() | st.text(max_size=30),
    parameters=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
)
PROVIDERS = st.builds(ProviderAddress, name=NAMES, kind=NAMES, base_url=NAMES, secret_env=st.none() | NAMES)
CALLERS = st.builds(
    CallerKey,
    id=NAMES,
    caller=NAMES,
    secret_sha256=NAMES,
    aliases=st.none() | st.frozensets(NAMES, max_size=3),
    expires_at=st.none() | st.floats(0, 1e10),
)
TABLES = st.builds(
    RouteTable,
    serial=st.integers(0),
    aliases=st.lists(ROUTES, max_size=3).map(lambda found: {r.alias: r for r in found}),
    targets=st.lists(TARGETS, max_size=3).map(lambda found: {t.version: t for t in found}),
    providers=st.lists(PROVIDERS, max_size=3).map(lambda found: {p.name: p for p in found}),
    callers=st.lists(CALLERS, max_size=3).map(lambda found: {c.id: c for c in found}),
)


@given(table=TABLES)
@settings(max_examples=60, deadline=None)
def test_a_table_survives_its_copy_on_disk(table):
    assert from_document(json.loads(json.dumps(to_document(table)))) == table


@pytest.mark.parametrize("broken", [{}, {"serial": 1}, None, [], {**to_document(EMPTY), "targets": [{"no": 1}]}])
def test_what_is_no_copy_of_a_table_is_refused(broken):
    with pytest.raises((KeyError, TypeError)):
        from_document(broken)
