"""Refuses a Python that cannot run Pinrail, in a sentence, and in words that an old Python 3 can still read."""

import os
import sys

OLDEST = (3, 11)
EXIT_OLD_PYTHON = 10

TOO_OLD = (
    "Pinrail needs Python {0}.{1} or newer and this is {2}.{3}: start it with a newer one, for example "
    "`python3.13 -m app`, or install one first (on Debian or Ubuntu: apt install python3)."
)
NOT_HERE = "Pinrail runs on Linux and macOS: on Windows start it inside WSL."


def refuse_old_python() -> None:
    """End here, with what to do, unless this Python is new enough and on a system that Pinrail knows."""
    if sys.version_info[:2] < OLDEST:
        _refuse(TOO_OLD.format(*(OLDEST + sys.version_info[:2])))
    if os.name == "nt":
        _refuse(NOT_HERE)


def _refuse(sentence: str) -> None:
    sys.stderr.write("pinrail: {0}\n".format(sentence))
    sys.exit(EXIT_OLD_PYTHON)
