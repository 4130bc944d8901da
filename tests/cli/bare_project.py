"""A small copy of the project with its real set-up, a folder of wheels as its index, and no network.

The wheels: uv itself, packed again from where the tests run, and probes of two files, so that a set-up with the
real pip and the real uv takes two seconds.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

from app.setup.installation import ONLY_FOR_TESTS

ROOT = Path(__file__).resolve().parents[2]
SETUP_FILES = (
    ROOT / "app" / "__init__.py",
    ROOT / "app" / "__main__.py",
    *sorted((ROOT / "app" / "setup").glob("*.py")),
)
COMMAND = """
import importlib.util, sys
def main():
    found = [name for name in ("probe_a", "probe_b", "probe_t") if importlib.util.find_spec(name)]
    print("ran in", sys.prefix, "with", *found, "and", *sys.argv[1:])
    sys.exit(7 if "fail" in sys.argv else 0)
"""
FOR_TESTS = """
from app.setup.bootstrap import enter
enter("tests", with_tests=True)
from app.cli import main
main()
"""


class Wheels:
    """A folder of wheels, each known by its line for a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: dict[str, str] = {}
        self._pack("uv", importlib.metadata.version("uv"), self._installed_uv())
        for probe in ("probe_a", "probe_b", "probe_t"):
            self._pack(probe, "1.0", {f"{probe}.py": b"", f"{probe}-1.0.dist-info/METADATA": metadata(probe, "1.0")})

    def _installed_uv(self) -> dict[str, bytes]:
        uv = importlib.metadata.distribution("uv")
        files: dict[str, bytes] = {}
        for file in uv.files or ():
            name = str(file)
            if name.endswith(("/uv", "/uvx")) and name.startswith(".."):
                name = f"uv-{uv.version}.data/scripts/{file.name}"
            if name.endswith((".py", "METADATA")) or "scripts" in name:
                files[name] = Path(str(file.locate())).read_bytes()
        return files

    def _pack(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        info = f"{name}-{version}.dist-info"
        content = {**files, f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        record = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, data in content.items())
        content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        wheel = self.folder / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, data in content.items():
                entry = zipfile.ZipInfo(path)
                entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
                archive.writestr(entry, data)
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        self.lines[name] = f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{sha256}"


def metadata(name: str, version: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class BareProject:
    """The copy, and how a person starts it."""

    def __init__(self, folder: Path, wheels: Wheels) -> None:
        self.folder = folder
        self.wheels = wheels
        self.venv = folder / ".venv"
        (folder / "app" / "setup").mkdir(parents=True)
        (folder / "tests").mkdir()
        for file in SETUP_FILES:
            shutil.copy(file, folder / file.relative_to(ROOT))
        (folder / "app" / "cli.py").write_text(textwrap.dedent(COMMAND), encoding="utf-8")
        (folder / "tests" / "__main__.py").write_text(textwrap.dedent(FOR_TESTS), encoding="utf-8")
        self.lock("probe_a", for_tests=["probe_t"])

    def lock(self, *names: str, for_tests: list[str] | None = None) -> None:
        lines = [self.wheels.lines["uv"], *(self.wheels.lines[name] for name in names)]
        more = [self.wheels.lines[name] for name in for_tests or []]
        (self.folder / "requirements.lock").write_text(
            "\n".join([*lines, "", ONLY_FOR_TESTS, *more, ""]), encoding="utf-8"
        )

    def env(self, **more: str) -> dict[str, str]:
        """The settings of somebody whose index is the folder of wheels, and nothing of this machine's own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        index = str(self.wheels.folder)
        pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index, "PIP_NO_CACHE_DIR": "1"}
        uv = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": index, "UV_CACHE_DIR": str(self.wheels.folder / "cache")}
        return {**kept, **pip, **uv, "UV_LINK_MODE": "copy", **more}

    def without_network(self) -> dict[str, str]:
        """The settings of somebody who knows only an index at which nobody answers."""
        env = self.env(PIP_INDEX_URL="http://127.0.0.1:1/simple", UV_CACHE_DIR=str(self.folder / "cache"))
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_NO_INDEX", "UV_FIND_LINKS"):
            del env[name]
        return env

    def command(self, *arguments: str, module: str = "app") -> list[str]:
        return [base_python(), "-m", module, *arguments]

    def start(
        self, *arguments: str, module: str = "app", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments, module=module)
        return subprocess.run(
            command, cwd=self.folder, env=env or self.env(), capture_output=True, text=True, check=False, timeout=120
        )

    def start_in_background(self, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=env or self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def base_python() -> str:
    """The Python outside the environment in which the tests run: what a newcomer has."""
    return str(getattr(sys, "_base_executable", sys.executable))
