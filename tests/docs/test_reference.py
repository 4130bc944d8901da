"""What can be refused, set, done or heard of is documented; a new one without its line is a red test."""

import inspect
import re
from pathlib import Path

import pytest

from app.settings import Settings
from core import errors
from core.domain.events import EVENTS
from core.domain.permissions import ACTIONS, SCOPES, Action, Scope
from core.domain.versions import PROVIDER_KINDS
from core.errors import PinrailError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFUSALS = [kind for _name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PinrailError)]


def row(page: str, name: str) -> str:
    """The table row of ``page`` that begins with `name`."""
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith(f"| `{name}` |"):
            return line
    raise AssertionError(f"docs/{page} has no row for {name}")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda kind: kind.code)
def test_every_refusal_is_documented_with_its_own_words(refusal: type[PinrailError]):
    assert (refusal.__doc__ or "").strip().splitlines()[0] in row("refusals.md", refusal.code)


def test_no_two_refusals_share_a_code():
    codes = [kind.code for kind in REFUSALS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_meaning(name: str):
    assert str(Settings.model_fields[name].description) in row("settings.md", f"PINRAIL_{name.upper()}")


@pytest.mark.parametrize(("kind", "meaning"), EVENTS.items())
def test_every_audit_event_is_documented(kind: str, meaning: str):
    assert meaning in row("audit.md", kind)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_documented_with_the_role_it_needs(action: Action):
    line = row("access.md", action.name)
    assert action.meaning in line
    assert f"| {action.least} |" in line


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_every_scope_is_documented(scope: Scope):
    assert scope.meaning in row("access.md", scope.name)


@pytest.mark.parametrize("kind", PROVIDER_KINDS)
def test_every_provider_kind_is_documented(kind: str):
    assert PROVIDER_KINDS[kind] in row("providers.md", kind)


def test_every_page_of_the_docs_is_reachable_from_the_index():
    index = (DOCS / "README.md").read_text()
    missing = [p.name for p in DOCS.glob("*.md") if p.name != "README.md" and f"({p.name})" not in index]
    assert not missing


def test_every_decision_is_listed():
    index = (DOCS / "adr" / "README.md").read_text()
    missing = [p.name for p in (DOCS / "adr").glob("0*.md") if f"({p.name})" not in index]
    assert not missing


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_the_glossary_is_in_order_and_says_each_word_once():
    words = re.findall(r"^\| ([a-z][a-z ]*) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 30
    assert words == sorted(set(words))
