"""The dashboard as a process: it starts with the real pages, sends them to who signed in, and ends when told to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from app.dashboard.front.signing import COOKIE
from app.wiring import Pinrail
from core.domain.events import Event
from core.domain.permissions import Role
from core.services import access
from core.store import audit_log
from tests import parts
from tests.api.world import PASSWORD, ROOT


@pytest.mark.slow
def test_the_real_process_serves_page_socket_and_api_and_ends_well_with_a_socket_open(pinrail: Pinrail, tmp_path: Path):
    access.add_person(pinrail.store, ROOT, "ann", password=PASSWORD, role=Role.ADMIN, now=pinrail.now())
    _, token = access.create_token(pinrail.store, ROOT, "t", scope="read", person="ann", now=pinrail.now())
    # From another folder than the project's: nothing may hang on where somebody happens to stand.
    process, url = started(pinrail, tmp_path, "127.0.0.1")
    try:
        jar = requests.Session()
        assert jar.get(f"{url}/alias?name=x", allow_redirects=False, timeout=20).status_code == 303
        fields = {"name": "ann", "password": PASSWORD, "next": "/alias?name=x"}
        page = jar.post(f"{url}/sign-in", data=fields, timeout=20)
        assert (page.status_code, page.url) == (200, f"{url}/alias?name=x")
        assert '<div id="root">' in page.text
        who = requests.get(f"{url}/api/v1/whoami", headers={"authorization": f"Bearer {token}"}, timeout=20)
        assert who.json()["name"] == "ann"
        headers = {"cookie": f"{COOKIE}={jar.cookies[COOKIE]}", "origin": url}
        with connect(url.replace("http", "ws") + "/_stcore/stream", additional_headers=headers, legacy=False):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_demo_refuses_to_listen_for_others_in_one_sentence(pinrail: Pinrail, tmp_path: Path):
    with pinrail.store.unit_of_work() as session:
        audit_log.append(session, Event("store.seeded", "store", "demo", "system", pinrail.now()))

    process, _url = started(pinrail, tmp_path, "0.0.0.0", ready=False)
    said, _ = process.communicate(timeout=30)

    assert process.returncode != 0
    assert "the demo workspace" in said
    assert "Traceback" not in said


def started(pinrail: Pinrail, folder: Path, host: str, *, ready: bool = True) -> tuple["subprocess.Popen[str]", str]:
    port = parts.free_port()
    env = {
        **os.environ,
        "PYTHONPATH": str(parts.ROOT),
        "PINRAIL_DATABASE_URL": pinrail.store.url,
        "PINRAIL_DATA_DIR": str(folder),
    }
    command = [sys.executable, "-m", "app", "dashboard", "--host", host, "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 40
    while ready and process.poll() is None and time.monotonic() < deadline:
        try:
            requests.get(f"{url}/healthz", timeout=1)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    return process, url
