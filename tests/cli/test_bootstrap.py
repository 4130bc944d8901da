"""Promises of the first start: it sets itself up with the real pip and uv, repairs itself, and refuses in sentences."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from app.setup.bootstrap import Found, Stamp, Step, next_step
from app.setup.installation import MARK, requirement, requirements
from app.setup.refusals import SetupRefused, explain
from tests.cli.bare_project import BareProject, Wheels, base_python

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Wheels:
    return Wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def project(tmp_path, wheels) -> BareProject:
    return BareProject(tmp_path / "pinrail", wheels)


@pytest.fixture
def ready(project) -> BareProject:
    answer = project.start()
    assert answer.returncode == 0, answer.stderr
    return project


# -- the first start, and the ones after ------------------------------------------------------------


def test_a_bare_python_sets_itself_up_says_how_far_it_is_and_runs_the_command(project):
    first = project.start("alias", "list")

    assert first.stdout == f"ran in {project.venv} with probe_a and alias list\n"
    for progress in ("Setting up Pinrail in", "1/3 environment", "2/3 installer", "3/3 2 packages", "Set up in"):
        assert progress in first.stderr


def test_the_second_start_says_nothing_of_its_own(ready):
    second = ready.start("alias", "list")

    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.endswith("and alias list\n")


def test_the_exit_code_is_that_of_the_command(ready):
    assert ready.start("fail").returncode == 7


def test_the_environment_brings_a_pinrail_command_that_works_from_anywhere(ready, tmp_path):
    (tmp_path / "app").mkdir()  # not ours, though it is called so

    answer = subprocess.run(
        [ready.venv / "bin" / "pinrail", "status"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert answer.stdout == f"ran in {ready.venv} with probe_a and status\n"


@pytest.mark.parametrize("how", ["no lock file, as pip installs it", "PINRAIL_NO_SETUP=1"])
def test_an_installed_copy_and_an_image_run_in_the_python_that_is_there(project, how):
    env = project.env(PINRAIL_NO_SETUP="1")
    if how.startswith("no lock"):
        env = project.env()
        (project.folder / "requirements.lock").unlink()

    answer = project.start(env=env)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert not project.venv.exists()


def test_the_packages_of_the_tests_come_with_the_tests_and_stay(ready):
    assert "probe_t" not in ready.start().stdout

    assert "with probe_a probe_t and" in ready.start(module="tests").stdout
    assert "with probe_a probe_t and" in ready.start().stdout


def test_a_new_lock_file_is_followed_and_what_it_no_longer_names_goes(ready):
    ready.lock("probe_b")

    answer = ready.start()

    assert "requirements.lock asks for something else" in answer.stderr
    assert "with probe_b and" in answer.stdout


# -- repairs ----------------------------------------------------------------------------------------


def test_a_set_up_that_was_killed_half_way_is_repaired_by_the_next_start(project):
    killed = project.start_in_background()
    while not (project.venv / MARK).exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    answer = project.start()

    assert "it was left unfinished" in answer.stderr
    assert "with probe_a and" in answer.stdout


def test_an_environment_whose_python_is_gone_is_built_anew(ready):
    (ready.venv / "bin" / "python").unlink()
    (ready.venv / "bin" / "python").symlink_to("/nowhere/python3")

    answer = ready.start()

    assert "its Python is gone" in answer.stderr
    assert "with probe_a and" in answer.stdout


def test_three_starts_at_once_wait_for_one_another_and_all_succeed(project):
    started = [project.start_in_background() for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in started]

    assert [process.returncode for process in started] == [0, 0, 0]
    assert all("with probe_a and" in out for out, _ in answers)
    assert sum("Set up in" in err for _, err in answers) == 1


def test_an_environment_that_somebody_made_by_hand_is_used_and_keeps_what_it_has(project):
    subprocess.run([base_python(), "-m", "venv", "--without-pip", str(project.venv)], check=True)
    mine = project.venv / "mine.txt"
    mine.write_text("notes")

    answer = project.start()

    assert "somebody else made it, and it works" in answer.stderr
    assert "with probe_a and" in answer.stdout
    assert mine.read_text() == "notes"


def test_a_folder_that_is_no_environment_is_refused_and_left_alone(project):
    project.venv.mkdir()
    (project.venv / "thesis.txt").write_text("the only copy")

    answer = project.start()

    assert answer.returncode == 15
    assert "move it away" in answer.stderr
    assert (project.venv / "thesis.txt").read_text() == "the only copy"


# -- refusals: one sentence that says what to do, and an exit code of its own -----------------------


def only_line(answer: subprocess.CompletedProcess[str]) -> str:
    """What a person reads last, without a traceback before it."""
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.stderr.strip().splitlines()[-1]


def test_without_network_the_first_start_says_so(project):
    answer = project.start(env=project.without_network())

    assert answer.returncode == 12
    assert only_line(answer).startswith("pinrail: The package index could not be reached: connect this machine")


def test_without_network_an_update_says_so_and_keeps_what_worked(ready):
    before = (ready.folder / "requirements.lock").read_text()
    ready.lock("probe_a", "probe_b")
    assert ready.start(env=ready.without_network()).returncode == 12

    (ready.folder / "requirements.lock").write_text(before)

    again = ready.start(env=ready.without_network())
    assert (again.returncode, again.stderr) == (0, "")


def test_a_package_that_is_not_the_locked_one_is_refused(project):
    lock = project.folder / "requirements.lock"
    right = lock.read_text()
    wrong = re.sub(r"(probe-a==1.0 \\\n    --hash=sha256:)\w+", rf"\g<1>{'0' * 64}", right)
    lock.write_text(wrong)

    answer = project.start()

    assert answer.returncode == 15
    assert "is not the one that requirements.lock names" in only_line(answer)


def test_a_python_without_pip_says_which_package_brings_it(project, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("pip", "ensurepip"):
        (hidden / f"{name}.py").write_text("raise SystemExit('not installed')")

    answer = project.start(env=project.env(PYTHONPATH=str(hidden)))

    assert answer.returncode == 11
    assert "This Python has no pip: install it (on Debian or Ubuntu: apt install python3-pip" in only_line(answer)


def on_another_disk(project: BareProject, mount: str, then: str = "true") -> subprocess.CompletedProcess[str]:
    """Start a copy of the project that lies on a disk of its own, in a mount namespace that ends with it."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("A disk of its own needs mount namespaces, and this machine does not allow them (unshare -rm).")
    disk = project.folder.parent / "disk"
    disk.mkdir()
    script = (
        f"set -e; {mount} {disk}; cp -r {project.folder}/. {disk}; {then.format(disk=disk)}; cd {disk}; "
        f"exec {' '.join(project.command())}"
    )
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env=project.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_read_only_folder_is_refused_with_two_ways_out(project):
    answer = on_another_disk(project, "mount -t tmpfs tmpfs", "mount -o remount,ro {disk}")

    assert answer.returncode == 13
    assert "cannot be written to: copy Pinrail into a folder of yours, or name one" in only_line(answer)


def test_a_read_only_folder_works_with_an_environment_elsewhere(project, tmp_path):
    project.venv = tmp_path / "elsewhere"
    env = project.env(PINRAIL_VENV=str(project.venv))

    assert project.start(env=env).stdout == f"ran in {project.venv} with probe_a and\n"
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize("size", ["512k", "30m"], ids=["while making the environment", "while installing"])
def test_a_full_disk_is_refused_with_how_much_to_free(project, size):
    answer = on_another_disk(project, f"mount -t tmpfs -o size={size} tmpfs")

    assert answer.returncode == 14
    assert "is full: free about 1.5 GB there, then start again." in only_line(answer)


# -- old Pythons ------------------------------------------------------------------------------------


def old_python() -> str | None:
    """A Python that is too old, where this machine happens to have one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += (Path.home() / ".pyenv" / "versions").glob("3.*/bin")
    for minor in (6, 7, 8, 9, 10):
        for folder in folders:
            python = folder / f"python3.{minor}"
            if python.exists() and not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
                return str(python)
    return None


def test_an_old_python_is_refused_in_a_sentence_and_touches_nothing(project):
    python = old_python()
    if python is None:
        pytest.skip("No Python older than 3.11 is installed here to be refused.")

    answer = subprocess.run(
        [python, "-m", "app"], cwd=project.folder, env=project.env(), capture_output=True, text=True, check=False
    )

    assert answer.returncode == 10
    assert only_line(answer).startswith("pinrail: Pinrail needs Python 3.11 or newer and this is 3.")
    assert not project.venv.exists()


@pytest.mark.parametrize(
    "path",
    ["app/__init__.py", "app/setup/__init__.py", "app/setup/require_python.py", "app/__main__.py", "tests/__main__.py"],
)
def test_what_an_old_python_reads_before_it_is_refused_is_written_so_that_it_can(path):
    source = (ROOT / path).read_text(encoding="utf-8")

    assert ast.parse(source, feature_version=(3, 4))


# -- decisions --------------------------------------------------------------------------------------

DONE = Stamp("lock-1", "3.11", with_tests=False)
HERE = Path("/somewhere/.venv")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Found(HERE, exists=False), Step.CREATE),
        (Found(HERE, True, True, DONE, "3.11"), Step.NOTHING),
        (Found(HERE, True, True, Stamp("lock-1", "3.11", with_tests=True), "3.11"), Step.NOTHING),
        (Found(HERE, True, True, Stamp("lock-0", "3.11", with_tests=False), "3.11"), Step.UPDATE),
        (Found(HERE, True, True, DONE, "3.12"), Step.REBUILD),
        (Found(HERE, True, True, DONE, None), Step.REBUILD),
        (Found(HERE, True, True, None, "3.11"), Step.REBUILD),
        (Found(HERE, True, False, None, "3.11"), Step.ADOPT),
    ],
)
def test_the_next_step_follows_from_what_is_there(found, expected):
    assert next_step(found, lock="lock-1", with_tests=False) is expected


def test_what_is_ready_for_the_product_is_not_ready_for_the_tests():
    assert next_step(Found(HERE, True, True, DONE, "3.11"), lock="lock-1", with_tests=True) is Step.UPDATE


@pytest.mark.parametrize(
    ("output", "exit_code"),
    [
        ("error: Failed to fetch: x\n  Caused by: dns error: failed to lookup address information", 12),
        ("WARNING: Retrying ... Failed to establish a new connection\nERROR: No matching distribution found", 12),
        ("error: failed to write to file: No space left on device (os error 28)", 14),
        ("error: failed to create directory: Read-only file system (os error 30)", 13),
        ("error: x==1 has no wheels with a matching Python ABI tag (e.g., `cp315`)", 15),
        ("", 15),
    ],
)
def test_what_an_installer_prints_is_explained(output, exit_code):
    assert explain(output, HERE).exit_code == exit_code


def test_an_unexplained_failure_keeps_the_last_words_and_says_what_to_do():
    refusal = str(explain("error: the moon is in the way", HERE))

    assert "the moon is in the way" in refusal
    assert f"remove {HERE} and start anew" in refusal


# -- the lock file ----------------------------------------------------------------------------------

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_names_no_host_and_every_package_has_hashes():
    blocks = re.findall(r"^[A-Za-z0-9](?:.*\\\n)*.*$", LOCK, re.MULTILINE)

    assert not re.search(r"://|--(?:extra-)?index|--find-links", LOCK)
    assert len(blocks) > 60
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)


def test_the_lock_holds_all_that_pyproject_names_and_the_product_part_none_of_the_tests_tools():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    product = requirements(LOCK, with_tests=False)

    for extra, named in {"base": project["dependencies"], **extras}.items():
        for line in named:
            name = re.split(r"[\[<>=!~ ]", line)[0].lower()
            if name != "pinrail":
                part = LOCK if extra == "test" else product
                assert requirement(part, name), f"{name} ({extra})"
    with pytest.raises(SetupRefused):
        requirement(product, "pytest")
