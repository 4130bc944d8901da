"""A scheduler as a process of its own, whose one job leaves a line in a file; started by the tests beside it."""

import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from app.scheduler import Job, Scheduler, own_name
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.schedule import slot_at
from core.store.database import open_store


def main(url: str, file: str, every_s: str, lease_s: str, then: str) -> None:
    """``then`` is "end" for a job that is done at once, or "hang" for one that never is."""
    every = timedelta(seconds=float(every_s))
    holder = own_name()

    def beat(_pinrail: Pinrail, now: datetime) -> str:
        with Path(file).open("a") as lines:
            lines.write(f"{slot_at(now, every).isoformat()} {holder}\n")
        while then == "hang":
            time.sleep(1)
        return "beaten"

    def say(line: str) -> None:
        with Path(f"{file}.said").open("a") as said:
            said.write(f"{line}\n")

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop.set).start())
    pinrail = Pinrail(Settings(database_url=url), open_store(url), SystemClock())
    jobs = (Job("beat", every, beat, "leaves a line"),)
    lasts = timedelta(seconds=float(lease_s))
    Scheduler(pinrail, holder=holder, say=say, jobs=jobs, lease_lasts=lasts).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
