"""Why the set-up cannot go on, each in one sentence that says what to do. Standard library only."""

from __future__ import annotations

import errno
import re
import sys
from pathlib import Path

EXIT_NO_INSTALLER, EXIT_NO_NETWORK, EXIT_CANNOT_WRITE, EXIT_DISK_FULL, EXIT_FAILED = 11, 12, 13, 14, 15


class SetupRefused(Exception):
    """The set-up cannot go on; the message is one sentence that says what to do."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


CANNOT_WRITE = (
    "The folder {parent} cannot be written to: copy Pinrail into a folder of yours, or name one with PINRAIL_VENV=DIR "
    "(and `--data DIR` for what it keeps), then start again."
)
DISK_FULL = "The disk that holds {parent} is full: free about 1.5 GB there, then start again."
NO_NETWORK = (
    "The package index could not be reached: connect this machine to the network (behind a proxy set HTTPS_PROXY, "
    "for a mirror set PIP_INDEX_URL), then start again."
)
NO_INSTALLER = (
    "This Python has no {missing}: install it (on Debian or Ubuntu: apt install python3-pip python3-venv), then start "
    "again."
)
NO_WHEEL = (
    "A package of requirements.lock is not made for Python {python} on this machine: start with Python 3.11 to 3.14 "
    "on Linux or macOS, for example `python3.13 -m app`."
)
WRONG_HASH = (
    "A downloaded package is not the one that requirements.lock names: something between this machine and the index "
    "alters packages, so try another network or set PIP_INDEX_URL, then start again."
)
FOREIGN = (
    "The folder {folder} is not an environment that Pinrail made, and no Python starts in it: move it away "
    "(mv {folder} {folder}-old), then start again."
)
UNEXPLAINED = (
    "The set-up failed ({last_words}): start again, and if it fails in the same way, remove {folder} and start anew."
)

UNREACHABLE = (
    r"failed to establish a new connection|newconnectionerror|connection refused|connection reset|connect error"
    r"|dns error|name resolution|network is unreachable|timed out|client error \(connect\)|error sending request"
    r"|failed to fetch|could not connect|proxyerror|sslerror|invalid peer certificate"
)

# Looked for from top to bottom: of an index that it could not reach, pip says "no matching distribution" too.
SYMPTOMS: tuple[tuple[str, str, int], ...] = (
    (r"no space left|os error 28\b|quota exceeded", DISK_FULL, EXIT_DISK_FULL),
    (r"read-only file system|permission denied|os error (?:13|30)\b", CANNOT_WRITE, EXIT_CANNOT_WRITE),
    (r"hash mismatch|do not match the hashes", WRONG_HASH, EXIT_FAILED),
    (UNREACHABLE, NO_NETWORK, EXIT_NO_NETWORK),
    (r"no matching distribution|has no wheels|no usable wheels|building source", NO_WHEEL, EXIT_FAILED),
)


def no_installer(missing: str) -> SetupRefused:
    return SetupRefused(NO_INSTALLER.format(missing=missing), EXIT_NO_INSTALLER)


def foreign(folder: Path) -> SetupRefused:
    return SetupRefused(FOREIGN.format(folder=folder), EXIT_FAILED)


def explain(output: str, folder: Path) -> SetupRefused:
    """Turn what an installer printed into the sentence that helps."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for pattern, sentence, exit_code in SYMPTOMS:
        if re.search(pattern, output, re.IGNORECASE):
            return SetupRefused(sentence.format(parent=folder.parent, python=python), exit_code)
    last_words = " / ".join(line.strip() for line in output.strip().splitlines()[-4:]) or "it said nothing"
    return SetupRefused(UNEXPLAINED.format(last_words=last_words, folder=folder), EXIT_FAILED)


def explain_fault(fault: OSError, folder: Path) -> SetupRefused:
    """The same for a fault that the file system reported to this program itself."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupRefused(DISK_FULL.format(parent=folder.parent), EXIT_DISK_FULL)
    if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return SetupRefused(CANNOT_WRITE.format(parent=folder.parent), EXIT_CANNOT_WRITE)
    return explain(str(fault), folder)
