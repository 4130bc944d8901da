"""Two prompts as one text: both can be read from it again, and no change is told by colour alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dashboard.word_diff import MOST_WORDS, Piece, compared, drawn

WORDS = st.lists(st.sampled_from(["a", "bee", "sea", "\n", ". ", "  ", "ü", "<b>"]), max_size=30).map(" ".join)


def before(pieces):
    return "".join(piece.text for piece in pieces if piece.kind != "ins")


def after(pieces):
    return "".join(piece.text for piece in pieces if piece.kind != "del")


@given(WORDS, WORDS)
def test_both_texts_can_be_read_from_the_comparison_letter_by_letter(old, new):
    pieces = compared(old, new)
    assert (before(pieces), after(pieces)) == (old, new)
    assert all(piece.text for piece in pieces)


def test_only_the_words_that_differ_are_marked():
    pieces = compared("Answer in at most three sentences, politely.", "Answer in at most four sentences, politely.")
    assert pieces == [
        Piece("same", "Answer in at most "),
        Piece("del", "three"),
        Piece("ins", "four"),
        Piece("same", " sentences, politely."),
    ]


def test_a_word_that_both_happen_to_have_does_not_break_a_change_into_crumbs():
    kinds = [piece.kind for piece in compared("read the mail and answer", "sort every letter and file it")]
    assert kinds == ["del", "ins"]


@pytest.mark.parametrize(("kind", "said"), [("del", "taken out: "), ("ins", "put in: ")])
def test_a_change_is_said_in_words_to_whoever_cannot_see_it(kind, said):
    html = drawn("one two three", "one 2 three")
    assert f'<{kind}><span class="pr-hidden">{said}</span>' in html


def test_what_others_wrote_stays_text():
    html = drawn("<img src=x>", "<script>alert(1)</script>")
    assert "<img" not in html
    assert "<script" not in html


def test_a_change_of_blanks_alone_can_be_seen():
    assert "␣" in drawn("one two", "one  two")
    assert "↵" in drawn("one\ntwo", "one\n\ntwo")


def test_a_passage_too_long_to_compare_word_by_word_is_taken_out_and_put_in_as_a_whole():
    old, new = " ".join(["one"] * MOST_WORDS), " ".join(["one"] * MOST_WORDS + ["two"])
    assert [piece.kind for piece in compared(old, new)] == ["del", "ins"]
    assert [piece.kind for piece in compared(f"same\n{old}", f"same\n{new}")] == ["same", "del", "ins"]
