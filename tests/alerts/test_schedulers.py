"""Two schedulers beside each other, real jobs and a real webhook: everybody is told of everything once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from app.scheduler import Job, Scheduler, deliver_alerts, watch_alerts
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.alert_channels import Channel
from core.domain.versions import Provider, Version
from core.services import alerting, channels, flips, registry
from core.store.database import Store
from tests.alerts.receiver import Hook
from tests.alerts.stage import ROOT, SECRET_ENV, Stage

SECOND = timedelta(seconds=1)
JOBS = (
    Job("watch-alerts", SECOND, watch_alerts, "looks"),
    Job("deliver-alerts", SECOND, deliver_alerts, "tells"),
)


@contextmanager
def scheduler(store: Store, holder: str) -> Iterator[None]:
    stop = threading.Event()
    pinrail = Pinrail(Settings(), store, SystemClock())
    lasts = timedelta(seconds=1.5)
    made = Scheduler(pinrail, holder=holder, say=lambda _line: None, jobs=JOBS, lease_lasts=lasts)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def until(true: Callable[[], object], *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "this did not come about in time"
        time.sleep(0.05)


def held_for_long(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    registry.register_provider(store, ROOT, Provider("recorded", "recorded", "http://127.0.0.1:9/v1"), now=long_ago)
    registry.register_version(store, ROOT, Version("a", "recorded", "model-a"), now=long_ago)
    flips.create(store, ROOT, "chat", "a", now=long_ago)
    flips.hold(store, ROOT, "chat", seen_revision=1, now=long_ago + timedelta(hours=1))


def test_two_schedulers_page_once_and_one_goes_on_when_the_other_stops(stage: Stage, hook: Hook):
    held_for_long(stage.store)
    now = datetime.now(UTC)
    channels.add_channel(stage.store, ROOT, Channel("pager", "webhook", hook.url, secret_env=SECRET_ENV), now=now)
    with scheduler(stage.store, "b"):
        with scheduler(stage.store, "a"):
            until(lambda: "alert.raised" in hook.events)
        flips.release(stage.store, ROOT, "chat", seen_revision=2, now=datetime.now(UTC))
        until(lambda: "alert.resolved" in hook.events)
    about_holds = [d["event"] for d in hook.documents if d["alert"]["watch"] == "hold-long"]
    assert about_holds == ["alert.raised", "alert.resolved"]
    assert len(hook.event_ids) == len(set(hook.event_ids))
    assert {d.state for d in alerting.delivery_list(stage.store, ROOT)} == {"sent"}
