"""What a name and a text may look like, and what is said about a name that is not there."""

import pytest

from core.domain.names import checked_name, checked_slug, checked_text, nearest, no_such
from core.errors import InvalidInput


@pytest.mark.parametrize("name", ["a", "prod-chat", "a.b_c-d", "0", "x" * 64])
def test_a_slug_is_lower_case_and_short(name):
    assert checked_slug("an alias", name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a/b", "ä", "a\n", "a\0", "x" * 65, "../etc", "local:me"])
def test_what_is_no_slug_is_refused_with_what_would_do(name):
    with pytest.raises(InvalidInput, match=r"cannot be the name of an alias: use 1 to 64 lower-case letters"):
        checked_slug("an alias", name)


@pytest.mark.parametrize("name", ["gpt-4o@2024-08-06", "org/Model:v1+x", "x" * 128])
def test_a_version_may_be_named_like_its_model(name):
    assert checked_name("a version", name) == name


@pytest.mark.parametrize("name", ["", "/a", "a/", "a b", "a?b", "a#b", "x" * 129, "a\n"])
def test_a_version_name_that_would_break_an_address_is_refused(name):
    with pytest.raises(InvalidInput, match="use 1 to 128 letters"):
        checked_name("a version", name)


@pytest.mark.parametrize("bad", ["a\0b", "half \ud83d", "\udc00"])
def test_a_text_that_one_store_could_not_keep_is_refused_before_any_sees_it(bad):
    with pytest.raises(InvalidInput, match="A note holds a character that cannot be stored"):
        checked_text("A note", bad, most=100)


def test_a_text_is_as_long_as_it_may_be_and_no_longer():
    assert checked_text("A note", "ü😀" * 5, most=10) == "ü😀" * 5
    with pytest.raises(InvalidInput, match="A note has 1 to 10 characters, not 11"):
        checked_text("A note", "x" * 11, most=10, least=1)
    with pytest.raises(InvalidInput, match="A note has 1 to 10 characters, not 0"):
        checked_text("A note", "", most=10, least=1)


def test_the_nearest_name_is_offered_and_nothing_far_fetched():
    assert nearest("prod-chta", ["prod-chat", "prod-math"]) == "prod-chat"
    assert nearest("zzz", ["prod-chat", "prod-math"]) is None
    assert no_such("alias", "prod-chta", ["prod-chat"]) == "There is no alias 'prod-chta'. Closest: prod-chat."
    assert no_such("alias", "zzz", []) == "There is no alias 'zzz'."


def test_a_name_far_too_long_is_neither_compared_nor_repeated():
    said = no_such("alias", "a" * 5_000_000, ["a" * 60] * 100)
    assert len(said) < 200
    with pytest.raises(InvalidInput) as refusal:
        checked_slug("an alias", "a" * 5_000_000)
    assert len(str(refusal.value)) < 400
