"""`pinrail` as a real process: pipes, Ctrl-C, exit codes, and everything at once."""

import json
import os
import pty
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from app.wiring import Pinrail
from tests.cli.desk import alias_of, gateway_joins
from tests.cli.shell import COMMAND, environment, run, started
from tests.parts import ROOT, free_port


@pytest.fixture
def env(lite: Pinrail) -> dict[str, str]:
    return {"PINRAIL_DATABASE_URL": lite.store.url}


def test_the_exit_code_and_the_streams_are_those_of_a_unix_program(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a")
    done = run("alias", "list", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("ALIAS")
    missing = run("alias", "show", "chatt", env=env)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr == "pinrail: There is no alias 'chatt'. Closest: chat.\n"


def test_json_is_one_document_and_nothing_else(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a")
    done = run("alias", "flip", "chat", "b", "--wait", "0", "--json", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["version"] == "b"


def test_a_piped_list_has_no_colour_even_where_colour_is_forced(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a")
    done = run("status", env={**env, "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"})
    assert "\x1b" not in done.stdout


def test_a_prompt_passes_through_pipes_unharmed(env: dict[str, str]):
    text = "Be kind.\n\n\tÜber alles 漢字.\n"
    assert run("prompt", "register", "p/1", "-", env=env, sent=text).returncode == 0
    assert run("prompt", "show", "p/1", env=env).stdout == text


def test_a_closed_pipe_is_no_traceback(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", *"abcabc" * 40)
    line = f"{' '.join(COMMAND)} alias history chat --json | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment(env), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "{\n141\n"
    assert done.stderr == ""


def test_ctrl_c_ends_without_a_traceback_and_says_what_is_stored(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a")
    gateway_joins(lite, "gateway-1")
    process = started("alias", "flip", "chat", "b", "--wait", "14", env=env)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Flipped chat from a to b.")
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "pinrail: Revision 2 is stored; its receipt was not waited for.\n"


def test_a_terminal_of_an_old_alphabet_gets_all_it_can_show(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a", "b")
    done = run("audit", "list", env={**env, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"stable: a \u2192 b" in done.stdout


def test_on_a_terminal_titles_are_bold_and_lines_fit(lite: Pinrail, env: dict[str, str]):
    alias_of(lite, "chat", "a", "b")
    out = on_a_terminal("alias", "history", "chat", env={**env, "TERM": "xterm", "COLUMNS": "70"})
    assert "\x1b[1m" in out
    bare = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert max(len(line.rstrip()) for line in bare.splitlines()) <= 70


def test_a_password_is_typed_unseen_and_twice(env: dict[str, str]):
    out = on_a_terminal("user", "add", "ann", env=env, typed="correct horse\ncorrect horse\n")
    assert "can sign in" in out
    assert "correct horse" not in out


def on_a_terminal(*words: str, env: dict[str, str], typed: str = "") -> str:
    """What `pinrail` prints when it has a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=ROOT, env=environment(env), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    out = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        out += piece
        if typed and out.endswith(b": "):  # from here on nothing is echoed
            line, _, typed = typed.partition("\n")
            os.write(ours, line.encode() + b"\n")
    os.close(ours)
    process.wait(timeout=60)
    return out.decode().replace("\r\n", "\n")


# -- everything -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_everything_starts_answers_and_stops(tmp_path: Path):
    ports = {"gateway": free_port(), "dashboard": free_port(), "recorded": free_port()}
    env = {"PINRAIL_RECORDED_PORT": str(ports["recorded"])}
    data = str(tmp_path / "data")
    process = started(
        "--data", data, "--gateway-port", str(ports["gateway"]), "--port", str(ports["dashboard"]), env=env
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Stop with Ctrl-C" in line:
                break
        assert process.poll() is None, "".join(said)
        assert call_the_gateway(ports["gateway"]) == "prod-triage"
        status = run("--data", data, "status", "--json", env={})
        names = [alias["alias"] for alias in json.loads(status.stdout)["aliases"]]
        assert "prod-triage" in names
        flipped = run("--data", data, "alias", "flip", "prod-triage", "triage-large-1027", env={})
        assert (flipped.returncode, "in force at 1 of 1 gateways" in flipped.stdout) == (0, True)
        assert run("--data", data, "rollback", "prod-triage", env={}).returncode == 0
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Everything is stopped." in rest
    again = run("--data", data, "--no-demo", env=env)
    assert again.returncode == 1
    assert "holds the demo workspace" in again.stderr


def call_the_gateway(port: int) -> str:
    """The alias that answered a request to the demo."""
    requests = (ROOT / "data" / "demo" / "requests.jsonl").read_text().splitlines()
    asked = next(line for line in map(json.loads, requests) if line["alias"] == "prod-triage")
    body = json.dumps(asked["body"]).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=body,
        headers={"authorization": "Bearer pk-demo", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.headers["x-pinrail-alias"])
