"""What the tests of alerts share: a condition to be found, a watch that finds it, channels, and looks at it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.connectors.alert_channels import SENDERS
from core.domain.alert_channels import Channel
from core.domain.alerts import Alert, Found, Patience, Severity
from core.domain.permissions import local, system
from core.services import alerting, channels, delivering
from core.services.delivering import Delivered
from core.services.watches import Watch
from core.store.database import Store
from core.store.looking import Seen
from tests.clocks import SetClock

ROOT, SCHEDULER = local("tests"), system("scheduler")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET_ENV, SECRET = "ALERTS_TEST_SECRET", "a shared secret"
BASE_URL = "https://pinrail.example.com"


@dataclass
class Stage:
    """A store whose conditions the test decides."""

    store: Store
    clock: SetClock = field(default_factory=lambda: SetClock(NOON))
    holding: dict[str, Found] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    severity: Severity = Severity.CRITICAL
    escalate_after: timedelta = timedelta(minutes=15)

    def holds(self, what: str = "x", *, alias: str | None = None, because: str = "it is bad") -> None:
        """From now on this is found."""
        key = f"trouble:{what}"
        self.holding[key] = Found(key, f"{what} is in trouble", because, alias, "dana", "/alias?name=prod-chat")

    def is_over(self, what: str = "x") -> None:
        """It is not found any more."""
        del self.holding[f"trouble:{what}"]

    def is_blind(self, what: str = "x") -> None:
        """It cannot be told any more."""
        self.holding[f"trouble:{what}"] = Found(f"trouble:{what}", blind=True)

    def look(self, **later: float) -> alerting.Looked:
        """Look, so much later."""
        now = self.clock.wait(**later)
        watch = Watch("trouble", self.severity, self._found, "is in trouble", self.patience)
        return alerting.look(
            self.store, SCHEDULER, Seen(now), escalate_after=self.escalate_after, now=now, watches=(watch,)
        )

    def _found(self, _seen: Seen) -> Iterator[Found]:
        yield from self.holding.values()

    def alerts(self) -> list[Alert]:
        """Every alert, unresolved ones first."""
        return alerting.alert_list(self.store, ROOT)

    def channel(self, name: str, url: str | None, **given: object) -> Channel:
        """Add a webhook."""
        values: dict[str, object] = {"kind": "webhook", "url": url, "secret_env": SECRET_ENV, **given}
        made = Channel(name, **values)  # type: ignore[arg-type]
        return channels.add_channel(self.store, ROOT, made, now=self.clock.now())

    def deliver(self, **later: float) -> Delivered:
        """Send what is due, so much later."""
        self.clock.wait(**later)
        return delivering.deliver(self.store, SCHEDULER, SENDERS, base_url=BASE_URL, clock=self.clock)
