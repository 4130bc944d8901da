"""`python3 -m tests lock`: writes requirements.lock anew from pyproject.toml, with hashes and without host names.

What is locked already stays as it is unless pyproject.toml forbids it; `--upgrade` takes the newest of everything.
The packages that only the tests need stand at the end, so that `python3 -m app` can leave them out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from app.setup.installation import LOCK, ONLY_FOR_TESTS, ROOT

OPTIONS = (
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
)


def main(arguments: Sequence[str]) -> int:
    preferred = "" if "--upgrade" in arguments else LOCK.read_text(encoding="utf-8")
    everything = by_name(compiled(["test", "setup"], preferred))
    shipped = by_name(compiled(["all", "setup"], "\n".join(everything.values())))
    first = [block for name, block in everything.items() if name in shipped]
    then = [block for name, block in everything.items() if name not in shipped]
    LOCK.write_text("\n".join([*first, "", ONLY_FOR_TESTS, *then, ""]), encoding="utf-8")
    print(f"{LOCK.name}: {len(first)} packages, and {len(then)} more for the tests.")
    return 0


def compiled(extras: Sequence[str], preferred: str) -> str:
    """Let uv resolve the extras; it keeps the versions of a lock that lies where it writes to."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "lock"
        target.write_text(preferred, encoding="utf-8")
        named = [option for extra in extras for option in ("--extra", extra)]
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *named, *OPTIONS]
        subprocess.run([*command, "-o", str(target)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return target.read_text(encoding="utf-8")


def by_name(lock_text: str) -> dict[str, str]:
    """Every package with its block; two blocks where Pythons need different versions of it."""
    found: dict[str, str] = {}
    for block in re.findall(r"^[A-Za-z0-9](?:.*\\\n)*.*$", lock_text, re.MULTILINE):
        name = block.partition("==")[0]
        found[name] = f"{found[name]}\n{block}" if name in found else block
    return found
