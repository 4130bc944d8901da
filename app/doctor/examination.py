"""Every check there is, and one examination: all of them, whatever one of them meets."""

from app.doctor import running_checks, store_checks
from app.doctor.findings import Check, Finding, Level, Patient
from core.errors import PinrailError

CHECKS: tuple[Check, ...] = (
    Check("schema", "the store answers, and has the schema that this program needs", store_checks.schema, False),
    Check("database", "the database is of a version to rely on", store_checks.database_version),
    Check("store-file", "the SQLite file is undamaged", store_checks.store_file),
    Check("clock", "this machine and the database agree on the time", store_checks.clock),
    Check("audit", "the audit log verifies", store_checks.audit),
    Check("backup", "a backup was taken lately", store_checks.backup),
    Check("disk", "there is room on the disk", running_checks.disk, False),
    Check("folder", "the data folder is its owner's alone, who can write to it", running_checks.folder_rights, False),
    Check("credentials", "each provider's key is set in this environment", running_checks.credentials),
    Check("gateways", "gateways run, and route by the newest change", running_checks.gateways),
    Check("scheduler", "a scheduler runs, and its jobs end well", running_checks.scheduler),
    Check("route-copies", "the gateways on this machine could start without the store", running_checks.route_copies),
    Check("holds", "no alias is held and forgotten", running_checks.holds),
)
"""A new check is a function and a line here; docs/doctor.md has a heading for each."""


def examined(patient: Patient, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """What every check found, in their order. One that fails is a finding, and the others go on."""
    found: list[Finding] = []
    for check in checks:
        store_is_ill = any(one.check == "schema" and one.level is Level.ILL for one in found)
        if check.needs_store and store_is_ill:
            said = "Not looked at: the store does not answer, or does not fit."
            found.append(Finding(check.name, Level.UNKNOWN, said, "Mend the store first."))
            continue
        try:
            found += [Finding(check.name, *seen) for seen in check.look(patient)]
        except (PinrailError, OSError) as fault:
            found.append(Finding(check.name, Level.ILL, f"Could not be looked at: {fault}", "See what it says."))
    return found
