"""What several commands print alike: what a write on an alias did, and why a target was chosen."""

from datetime import datetime

from app.api import shapes
from app.cli.screen import Screen

DONE = {
    "created": "Created {alias} serving {version}",
    "flipped": "Flipped {alias} from {previous} to {version}",
    "rolled back": "Rolled back {alias} from {previous} to {version}",
    "undone": "Undone: {alias} serves {version}",
    "held": "Held {alias}, so automatic steps wait until it is released",
    "released": "Released {alias}, so automatic steps go on",
    "described": "Described {alias}",
    "protected": "Protected {alias}: a flip needs a second person from now on",
    "unprotected": "Unprotected {alias}: one person may flip it from now on",
    "retired": "Retired {alias}: its callers are refused from now on",
}


def sentence(moved: shapes.MovedView, seen: int | None) -> str:
    """What a write on an alias did, who did it, and on which revision it was decided."""
    form = DONE.get(moved.cause, "{alias}: " + moved.cause)
    what = form.format(alias=moved.alias, version=moved.version, previous=moved.previous_version)
    saw = f"; you saw revision {seen}" if seen is not None and not moved.replayed else ""
    again = " This idempotency key had done it before, so nothing happened now." if moved.replayed else ""
    return f"{what}. Revision {moved.revision} by {moved.by}{saw}.{again}"


def say_moved(screen: Screen, moved: shapes.MovedView, seen: int | None) -> None:
    """Print what a write did, and that a rollback holds the alias."""
    screen.say(sentence(moved, seen))
    if moved.cause == "rolled back" and not moved.replayed:
        screen.say(f"It is held until you release it: pinrail alias release {moved.alias}")
    if moved.quarantined and not moved.replayed:
        screen.say(f"{moved.quarantined} is quarantined. Lift it: pinrail version lift-quarantine {moved.quarantined}")


def say_target(screen: Screen, target: shapes.RollbackTargetView) -> None:
    """Print why a version is the one to roll back to, and what speaks against it."""
    screen.say(f"{target.version}: {target.because}; it served until {screen.when(target.served_until)}.")
    if target.caution:
        screen.say(f"Caution: {target.caution}.")


def say_secret(screen: Screen, what: str, secret: str | None) -> None:
    """Print a secret on a line of its own, and that this was the only time."""
    screen.say(what)
    if secret is None:
        # The answer was lost and asked for again, and the store keeps no secret that it could tell twice.
        screen.say("Its secret was lost with the connection: revoke it, and create another.")
        return
    screen.text(secret)
    screen.say("Keep it now: it is not shown again.")


def ending(screen: Screen, revoked_at: datetime | None, expires_at: datetime | None) -> str:
    """Whether a token or key still works, and until when."""
    if revoked_at is not None:
        return f"revoked {screen.when(revoked_at)}"
    if expires_at is None:
        return "works"
    return f"{'expired' if expires_at <= screen.now else 'works until'} {screen.when(expires_at)}"
