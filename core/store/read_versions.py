"""What the versions page reads: every version and where it stands, and one version with all that belongs to it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.domain import quarantine
from core.domain.aliases import Revision
from core.domain.versions import DataVersion, KnownIssue, PromptVersion, Provider, Version
from core.store import repositories
from core.store.database import Store
from core.store.tables import AliasRow, KnownIssueRow, RevisionRow

Sees = Callable[[str], bool]
"""Whether whoever looks may see an alias by this name."""

STANDINGS: dict[str, str] = {
    "serving": "an alias serves it",
    "fallback": "an alias falls back to it",
    "served before": "it served once, and nothing uses it now",
    "never served": "no alias ever served it",
}
"""Where a version can stand, and what that says."""


@dataclass(frozen=True)
class Use:
    """Who uses a version now. ``unseen`` counts the aliases that whoever looks may not see."""

    serving: tuple[str, ...] = ()
    fallback_of: tuple[str, ...] = ()
    unseen: int = 0
    served_before: bool = False
    served_unseen: bool = False

    @property
    def standing(self) -> str:
        """One of STANDINGS."""
        if self.serving or self.served_unseen:
            return "serving"
        if self.fallback_of or self.unseen:
            return "fallback"
        return "served before" if self.served_before else "never served"


@dataclass(frozen=True)
class VersionSummary:
    """One version in the list."""

    version: Version
    use: Use
    open_issues: int = 0
    quarantined: bool = False


@dataclass(frozen=True)
class Term:
    """One uninterrupted time in which an alias meant the version; ``until`` is the revision that ended it."""

    since: Revision
    until: Revision | None

    @property
    def alias(self) -> str:
        """The alias that served it."""
        return self.since.alias

    def length_until(self, now: datetime) -> datetime:
        """When it ended, or ``now`` while it lasts."""
        return self.until.at if self.until else now


@dataclass(frozen=True)
class VersionPage:
    """One version with its provider, prompt, data, issues, where it served, and the names of all others."""

    version: Version
    provider: Provider
    prompt: PromptVersion | None
    data: tuple[DataVersion, ...]
    issues: tuple[KnownIssue, ...]
    use: Use
    terms: tuple[Term, ...]
    others: tuple[str, ...]
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quarantined: bool = False


def version_list(store: Store, *, sees: Sees) -> tuple[VersionSummary, ...]:
    """Every version, newest first, with where it stands."""
    with store.reading() as session:
        issues = _open_issues(session)
        uses = _uses(session, sees)
        resting = quarantine.names(repositories.open_quarantines(session))
        return tuple(
            VersionSummary(v, uses.get(v.name, Use()), issues.get(v.name, 0), v.name in resting)
            for v in repositories.versions(session)
        )


def version_page(store: Store, name: str, *, sees: Sees) -> VersionPage:
    """The version called ``name``; UnknownVersion names the nearest."""
    with store.reading() as session:
        found = repositories.version(session, name)
        everyone = repositories.versions(session)
        all_issues = select(KnownIssueRow).where(col(KnownIssueRow.version) == name)
        open_first = (col(KnownIssueRow.resolved_at).is_not(None), col(KnownIssueRow.id).desc())
        return VersionPage(
            version=found,
            provider=repositories.provider(session, found.provider),
            prompt=repositories.prompt(session, found.prompt) if found.prompt else None,
            data=tuple(repositories.data_version(session, d) for d in found.data_versions),
            issues=tuple(repositories.as_issue(row) for row in session.scalars(all_issues.order_by(*open_first))),
            use=_uses(session, sees).get(name, Use()),
            terms=_terms(session, name, sees),
            others=tuple(v.name for v in everyone if v.name != name),
            shares=_shares(found, everyone),
            quarantined=name in quarantine.names(repositories.open_quarantines(session)),
        )


def _open_issues(session: Session) -> dict[str, int]:
    open_ones = select(col(KnownIssueRow.version), func.count()).where(col(KnownIssueRow.resolved_at).is_(None))
    return {row[0]: row[1] for row in session.execute(open_ones.group_by(col(KnownIssueRow.version)))}


def _uses(session: Session, sees: Sees) -> dict[str, Use]:
    now = [r for r in repositories.newest_revisions(session) if not r.state.retired]
    served = set(session.scalars(select(col(RevisionRow.stable)).distinct()))
    serving = _by_version((r.state.stable, r.alias) for r in now)
    fallbacks = _by_version((name, r.alias) for r in now for name in r.state.fallbacks)
    return {
        name: _use(serving.get(name, []), fallbacks.get(name, []), served_before=name in served, sees=sees)
        for name in served | fallbacks.keys()
    }


def _use(serving: list[str], fallback_of: list[str], *, served_before: bool, sees: Sees) -> Use:
    hidden = {alias for alias in (*serving, *fallback_of) if not sees(alias)}
    return Use(
        tuple(alias for alias in serving if alias not in hidden),
        tuple(alias for alias in fallback_of if alias not in hidden),
        len(hidden),
        served_before,
        served_unseen=bool(hidden.intersection(serving)),
    )


def _by_version(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for version, alias in pairs:
        found.setdefault(version, []).append(alias)
    return found


def _terms(session: Session, name: str, sees: Sees) -> tuple[Term, ...]:
    """Where and when the version was what an alias meant, newest first."""
    named = select(col(RevisionRow.alias)).where(col(RevisionRow.stable) == name).distinct()
    aliases = [alias for alias in session.scalars(named).all() if sees(alias)]
    found = [term for alias in aliases for term in _terms_on(repositories.history(session, alias), name)]
    return tuple(sorted(found, key=lambda term: term.since.serial, reverse=True))


def _terms_on(history: Iterable[Revision], name: str) -> Iterator[Term]:
    since: Revision | None = None
    for revision in history:
        serves = revision.state.stable == name and not revision.state.retired
        if serves and since is None:
            since = revision
        elif not serves and since is not None:
            yield Term(since, revision)
            since = None
    if since is not None:
        yield Term(since, None)


def _shares(found: Version, everyone: Iterable[Version]) -> dict[str, tuple[str, ...]]:
    """Which other versions have the same model, the same prompt, or one of the same data versions."""
    others = [v for v in everyone if v.name != found.name]
    data = set(found.data_versions)
    same = {
        "model": [v.name for v in others if (v.provider, v.model_id) == (found.provider, found.model_id)],
        "prompt": [v.name for v in others if found.prompt is not None and v.prompt == found.prompt],
        "data": [v.name for v in others if data.intersection(v.data_versions)],
    }
    return {what: tuple(names) for what, names in same.items()}


def alias_names(store: Store) -> tuple[str, ...]:
    """The names of all aliases, retired ones too."""
    with store.reading() as session:
        return tuple(session.scalars(select(col(AliasRow.name)).order_by(col(AliasRow.name))))
