"""What the doctor looks at around the store: disk, folder, credentials, gateways, scheduler, route copies, holds."""

import os
import shutil
import stat
from collections import Counter
from datetime import timedelta
from pathlib import Path

from sqlalchemy import make_url, select
from sqlmodel import col

from app.doctor.findings import Level, Patient, Seen
from app.gateway.disk_copy import BadCopy, DiskCopy
from core.services import serving
from core.store import leases, repositories
from core.store.tables import ProviderRow, ReplicaRow

FREE_CARE, FREE_ILL = 2 * 2**30, 256 * 2**20
GONE_LATELY = timedelta(days=1)
HELD_LONG = timedelta(hours=24)


def disk(patient: Patient) -> Seen:
    """Is there room where the store, the route copies and the backups are?"""
    folder = _store_folder(patient)
    if not folder.is_dir():
        yield Level.WELL, f"{folder} does not exist: nothing is kept here.", ""
        return
    free = shutil.disk_usage(folder).free
    said = f"{free / 2**30:.1f} GiB are free at {folder}."
    if free < FREE_CARE:
        remedy = "Make room: a store without any refuses every change, and gateways keep no copy of their routes."
        yield (Level.ILL if free < FREE_ILL else Level.CARE), said, remedy
    else:
        yield Level.WELL, said, ""


def _store_folder(patient: Patient) -> Path:
    store = patient.pinrail.store
    if store.dialect == "sqlite":
        return Path(make_url(store.url).database or "").resolve().parent
    return patient.pinrail.settings.data_dir


def folder_rights(patient: Patient) -> Seen:
    """Can the data folder be written to, and only by its owner?"""
    folder = _store_folder(patient)
    if not folder.is_dir():
        yield Level.WELL, f"{folder} does not exist: nothing is kept here.", ""
        return
    if not os.access(folder, os.W_OK):
        yield Level.ILL, f"{folder} cannot be written to.", f"Give this user the folder: chown -R USER {folder}"
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield (
            Level.CARE,
            f"{folder} is open to other users of this machine (mode {mode:o}); it holds digests of keys and passwords.",
            f"chmod 700 {folder}",
        )
    else:
        yield Level.WELL, f"{folder} is its owner's alone.", ""


def credentials(patient: Patient) -> Seen:
    """Is every provider's key in this environment?"""
    with patient.pinrail.store.reading() as session:
        rows = session.scalars(select(ProviderRow).order_by(col(ProviderRow.name))).all()
    missing = [row for row in rows if row.secret_env and not patient.env.get(row.secret_env)]
    for row in missing:
        yield (
            Level.CARE,
            f"{row.secret_env}, which holds the key of {row.name}, is not set in this environment.",
            "What counts is the gateways' environment: look there, or run the doctor in it.",
        )
    if not missing:
        yield Level.WELL, f"Every key of {len(rows)} providers is set in this environment.", ""


def gateways(patient: Patient) -> Seen:
    """Do gateways run, and do all of them route by the newest change?"""
    store = patient.pinrail.store
    with store.reading() as session:
        replicas = [repositories.as_replica(row) for row in session.scalars(select(ReplicaRow))]
    newest = serving.current_serial(store)
    live = [one for one in replicas if one.is_live(patient.now)]
    names = {one.name for one in live}
    troubled = False
    for one in sorted(replicas, key=lambda r: r.name):
        lately = patient.now - one.seen_at < GONE_LATELY
        if one.name not in names and one.stopped_at is None and lately:
            troubled = True
            yield (
                Level.CARE,
                f"{one.name} was last heard of at {one.seen_at:%Y-%m-%d %H:%M:%S} UTC and did not say that it stops.",
                "Look at its log and at /readyz; start it again if it is gone.",
            )
    for name, count in Counter(one.name for one in live).items():
        if count > 1:
            troubled = True
            yield Level.CARE, f"{count} gateways are called {name}.", "Give each its own PINRAIL_GATEWAY_NAME."
    for one in live:
        if one.applied_serial != newest:
            troubled = True
            yield (
                Level.ILL,
                f"{one.name} routes by change {one.applied_serial}, and the store is at {newest}.",
                "Within seconds it should follow; if it does not, look at its log, and start it again.",
            )
        if one.dropped:
            troubled = True
            yield (
                Level.CARE,
                f"{one.name} left {one.dropped:,} outcomes uncounted.",
                "Raise PINRAIL_OUTCOME_QUEUE, or spread the traffic over more gateways.",
            )
    if not live:
        yield Level.CARE, "No gateway is running, so no request is answered.", "Start one: `pinrail gateway`."
    elif not troubled:
        yield Level.WELL, f"{len(live)} gateways route by change {newest}, the newest.", ""


def scheduler(patient: Patient) -> Seen:
    """Does a scheduler run, and did the last run of every job end well?"""
    store = patient.pinrail.store
    lease = leases.holder_of(store, "scheduler")
    if lease is None or lease.expires_at < leases.time_of(store):
        yield Level.CARE, "No scheduler is running.", "Start one: `pinrail scheduler`."
    else:
        yield Level.WELL, f"{lease.holder} runs the jobs.", ""
    for run in leases.latest_runs(store):
        if run.outcome in (leases.FAILED, leases.ABANDONED):
            yield (
                Level.CARE,
                f"The last run of {run.job}, for {run.scheduled_for:%Y-%m-%d %H:%M} UTC, {run.outcome}: {run.note}",
                "docs/scheduler.md says what the job does; the log of the scheduler tells more.",
            )


def route_copies(patient: Patient) -> Seen:
    """Can the gateways on this machine start without the store?"""
    folders = sorted(patient.pinrail.settings.data_dir.glob("gateway-*"))
    newest = serving.current_serial(patient.pinrail.store)
    good = 0
    for folder in folders:
        name = folder.name.removeprefix("gateway-")
        try:
            loaded = DiskCopy(patient.pinrail.settings.data_dir, name).load()
        except BadCopy as fault:
            yield Level.CARE, str(fault), "Start this gateway while the store is there: it writes its copy anew."
            continue
        if loaded is not None and loaded[0].serial != newest:
            yield (
                Level.CARE,
                f"The copy of {name} is at change {loaded[0].serial}, and the store at {newest}.",
                "If that gateway runs, look at its log; if it is gone for good, remove its folder.",
            )
        else:
            good += 1
    if good == len(folders):
        yield Level.WELL, f"{good} copies of the routes in {patient.pinrail.settings.data_dir} can be used.", ""


def holds(patient: Patient) -> Seen:
    """Which aliases are held, and was one forgotten?"""
    with patient.pinrail.store.reading() as session:
        found = [r for r in repositories.newest_revisions(session) if r.state.hold and not r.state.retired]
    for revision in found:
        hold = revision.state.hold
        assert hold is not None
        age = patient.now - hold.at
        level = Level.CARE if age > HELD_LONG else Level.WELL
        why = f": {hold.reason}" if hold.reason else ""
        remedy = f"If the reason is gone: `pinrail alias release {revision.alias}`."
        said = f"{revision.alias} is held by {hold.by} for {age.total_seconds() / 3600:.0f} h{why}."
        yield level, said, remedy if level is Level.CARE else ""
    if not found:
        yield Level.WELL, "No alias is held.", ""
