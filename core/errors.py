"""Every refusal Pinrail can give: the docstring explains, the code is for machines, the message is for this case."""


class PinrailError(Exception):
    """Pinrail refused to do what was asked, and nothing was changed."""

    code = "refused"


# -- who may --------------------------------------------------------------------------------------


class NotSignedIn(PinrailError):
    """Nobody could be recognised: no session, no token, or one that ended."""

    code = "not_signed_in"


class WrongPassword(NotSignedIn):
    """The name and password do not belong together; which of the two is wrong is not said."""

    code = "wrong_password"


class TooManyAttempts(PinrailError):
    """Sign-in was tried too often for this name or from this address; the message says when to try again."""

    code = "too_many_attempts"


class NotPermitted(PinrailError):
    """The actor's roles, or the scope of the token, do not allow this action here."""

    code = "not_permitted"


# -- what was asked -------------------------------------------------------------------------------


class InvalidInput(PinrailError):
    """A value that was given cannot be used; the message names it and says what would do."""

    code = "invalid_input"


class NotFound(PinrailError):
    """There is no such thing; the message names the nearest one where there is one."""

    code = "not_found"


class UnknownAlias(NotFound):
    """No alias has this name."""

    code = "unknown_alias"


class UnknownVersion(NotFound):
    """No version has this name."""

    code = "unknown_version"


class UnknownRevision(NotFound):
    """The alias never had this revision."""

    code = "unknown_revision"


class AlreadyExists(PinrailError):
    """Something with this name exists already and differs; registered things never change."""

    code = "already_exists"


class FloatingModel(PinrailError):
    """The model id can move to another model without notice, so it cannot be pinned."""

    code = "floating_model"


# -- moving an alias ------------------------------------------------------------------------------


class StaleRevision(PinrailError):
    """Somebody moved the alias after the actor looked, so the actor decided on an old picture."""

    code = "stale_revision"


class AliasRetired(PinrailError):
    """The alias is retired: it answers no requests and accepts no changes."""

    code = "alias_retired"


class AliasProtected(PinrailError):
    """A protected alias needs a second person for a flip; rolling back never does."""

    code = "alias_protected"


class AliasHeld(PinrailError):
    """The alias is held: automatic steps wait until a person releases it."""

    code = "alias_held"


class Quarantined(PinrailError):
    """The version was left for doing badly, so nothing may begin to serve it without an override that says why."""

    code = "quarantined"


class NothingToChange(PinrailError):
    """The alias is already in the state that was asked for."""

    code = "nothing_to_change"


class NoRollbackTarget(PinrailError):
    """No earlier version of this alias may be rolled back to."""

    code = "no_rollback_target"


class UndoOvertaken(PinrailError):
    """What the revision changed was changed again later, so undoing it would undo the later change too."""

    code = "undo_overtaken"


class AlertResolved(PinrailError):
    """The alert is resolved: nothing more can be done to it; a condition that returns raises a new one."""

    code = "alert_resolved"


class IdempotencyMismatch(PinrailError):
    """The idempotency key was used before for a different request."""

    code = "idempotency_mismatch"


# -- the store ------------------------------------------------------------------------------------


class StoreError(PinrailError):
    """The store cannot be used as it is."""

    code = "store_error"


class StoreUnreachable(StoreError):
    """The store did not answer; nothing was changed unless the message says otherwise."""

    code = "store_unreachable"


class SchemaOutdated(StoreError):
    """The store's schema is older than this program; `pinrail db upgrade` brings it up to date."""

    code = "schema_outdated"


class SchemaTooNew(StoreError):
    """The store's schema was written by a newer program; this one must not touch it."""

    code = "schema_too_new"


class UnrecordedChange(StoreError):
    """A watched row was about to change without an audit event, so the change was rolled back."""

    code = "unrecorded_change"


class AuditBroken(StoreError):
    """The audit log does not verify: a row was changed, removed, inserted or reordered."""

    code = "audit_broken"


class BadBackup(PinrailError):
    """A backup file is cut short, altered, of another kind, or too new; nothing was touched."""

    code = "bad_backup"


class StoreInUse(PinrailError):
    """The store holds something that a restore would take away; it takes --replace, which saves it first."""

    code = "store_in_use"


class ReadOnly(PinrailError):
    """This dashboard and its API are read-only for now; the command line on the store is not."""

    code = "read_only"


class LeaseLost(StoreError):
    """Another scheduler holds the lease by now, so what this one was about to put down does not count."""

    code = "lease_lost"


# -- strangers ------------------------------------------------------------------------------------


class ProviderFailed(PinrailError):
    """The provider did not give a usable answer; the cause is kept."""

    code = "provider_failed"


class ProviderTimeout(ProviderFailed):
    """The provider did not answer in time."""

    code = "provider_timeout"


class MissingSecret(PinrailError):
    """The environment variable that holds the provider's secret is not set in this process."""

    code = "missing_secret"


class DeliveryFailed(PinrailError):
    """An alert channel did not take what it was told; it is told again."""

    code = "delivery_failed"


class BadRecording(PinrailError):
    """A recordings file cannot be read; the message names the file and line."""

    code = "bad_recording"


# -- starting up ----------------------------------------------------------------------------------


class CannotStart(PinrailError):
    """A part cannot start: a port in use, a missing file, a setting that makes no sense."""

    code = "cannot_start"
