"""`pinrail backup` and `pinrail restore`: the whole store as one file, and back."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from app.cli.doors import on_the_store
from app.cli.exits import Exit
from app.cli.options import Json
from app.cli.screen import Screen, show


class BackupView(BaseModel):
    """A backup that was written and read back."""

    path: str
    sha256: str
    size_bytes: int
    schema_at: str
    rows: int
    audit_events: int
    audit_head: str
    audit_broken: str
    untold: str


class RestoredView(BaseModel):
    """A store that is a backup's from now on."""

    taken_at: str
    sha256: str
    audit_events: int
    audit_head: str
    access_kept_out: tuple[str, ...]
    saved_as: str | None
    saved_sha256: str | None


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; nothing is written over.")],
    as_json: Json = False,
) -> None:
    """Write the whole store to a file.

    Consistent while the store is in use, read back before it gets its name, readable by its owner only. Exit code 8
    when the audit log does not verify; the backup is written all the same.
    """
    from core.services import backups

    with on_the_store("backup") as (pinrail, actor):
        made = backups.back_up(pinrail.store, actor, file, now=pinrail.now())
    manifest = made.manifest
    view = BackupView(
        path=str(made.path),
        sha256=made.sha256,
        size_bytes=made.size_bytes,
        schema_at=manifest.schema,
        rows=sum(facts.rows for facts in manifest.tables.values()),
        audit_events=manifest.events,
        audit_head=manifest.head,
        audit_broken=manifest.broken,
        untold=made.untold,
    )
    show(view, as_json=as_json, draw=_draw_backup)
    if manifest.broken:
        raise typer.Exit(Exit.AUDIT_BROKEN)


def _draw_backup(screen: Screen, view: BackupView) -> None:
    screen.say(f"Written and read back: {view.path}, {view.rows:,} rows, {view.size_bytes:,} bytes.")
    screen.say(f"SHA-256 {view.sha256}; note it elsewhere, and give it to `pinrail restore --sha256`.")
    if view.audit_broken:
        screen.say(
            f"The audit log does not verify: {view.audit_broken} Such a backup is kept as evidence, not restored."
        )
    if view.untold:
        screen.say(f"The audit log could not be told of this backup. {view.untold}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `pinrail backup` wrote.")],
    replacing: Annotated[
        bool, typer.Option("--replace", help="Also when the store is in use; what it holds is saved first.")
    ] = False,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="Refuse any file but the one with this digest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the store.

    The file is checked before anything is touched. Everybody has to sign in again, and gateways load the restored
    routes by themselves.
    """
    from core.services import backups

    with on_the_store("restore", as_it_is=True) as (pinrail, actor):
        done = backups.restore(
            pinrail.store,
            actor,
            file,
            replacing=replacing,
            save_in=pinrail.settings.data_dir / "backups",
            expected_sha256=sha256,
            now=pinrail.now(),
        )
    view = RestoredView(
        taken_at=done.manifest.taken_at.isoformat(),
        sha256=done.sha256,
        audit_events=done.head.events,
        audit_head=done.head.hash,
        access_kept_out=done.kept_out,
        saved_as=str(done.saved_as.path) if done.saved_as else None,
        saved_sha256=done.saved_as.sha256 if done.saved_as else None,
    )
    show(view, as_json=as_json, draw=_draw_restored)


def _draw_restored(screen: Screen, view: RestoredView) -> None:
    screen.say(f"Restored the backup of {view.taken_at}: {view.audit_events:,} audit events, head {view.audit_head}.")
    if view.saved_as:
        screen.say(f"What was there before is saved in {view.saved_as}.")
    if view.access_kept_out:
        screen.say(f"Taken away after the backup, and still is: {', '.join(view.access_kept_out)}.")
    screen.say(
        "Everybody signs in again. Gateways load the restored routes by themselves: `pinrail status` shows them."
    )
