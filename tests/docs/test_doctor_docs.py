"""Every check of the doctor is documented, and no other is."""

import pytest

from app.doctor.examination import CHECKS
from app.doctor.findings import Check, Level
from tests.docs.pages import Page

PAGE = Page("doctor.md")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_has_a_heading_and_says_what_it_looks_at(check: Check):
    assert check.about.lower() in " ".join(PAGE.section(check.name).split()).lower()
    assert check.look.__doc__


def test_no_check_is_documented_that_does_not_exist():
    assert PAGE.headings[1:] == [check.name for check in CHECKS]


def test_every_level_is_explained():
    for level in Level:
        assert f"*{level}*" in PAGE.text
