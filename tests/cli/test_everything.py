"""What `pinrail up` starts, in whose workspace, and what it refuses before anything is written."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import everything
from app.cli.everything import Workspace, address, banner, demo_parts, own_parts, prepared, workspace_of
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.errors import CannotStart
from core.services import registry
from core.store import read_models
from tests.cli.desk import ROOT, Desk
from tests.parts import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", recorded_port=free_port())


@pytest.fixture
def embedded(settings: Settings) -> Iterator[Pinrail]:
    pinrail = ready_pinrail(settings)
    yield pinrail
    pinrail.store.close()


def changed(settings: Settings, **more: object) -> Settings:
    return settings.model_copy(update=more)


# -- whose workspace ------------------------------------------------------------------------------


def test_the_demo_moves_into_an_empty_embedded_store_on_this_machine_and_nowhere_else(settings: Settings):
    assert workspace_of(settings, empty=True, seeded=False) is Workspace.EMPTY
    for other in (
        changed(settings, demo=False),
        changed(settings, host="0.0.0.0"),
        changed(settings, database_url="postgresql://host/db"),
    ):
        assert workspace_of(other, empty=True, seeded=False) is Workspace.OWN
    assert workspace_of(settings, empty=False, seeded=False) is Workspace.OWN


def test_the_demo_is_found_again_at_the_next_start(settings: Settings):
    assert workspace_of(settings, empty=False, seeded=True) is Workspace.DEMO


def test_the_demo_with_its_known_passwords_is_never_served_to_others(settings: Settings):
    with pytest.raises(CannotStart, match=r"whose passwords everybody knows.*--no-demo --data DIR"):
        workspace_of(changed(settings, host="0.0.0.0"), empty=False, seeded=True)


def test_starting_without_the_demo_where_the_demo_lives_says_how_to_start_empty(settings: Settings):
    with pytest.raises(CannotStart, match="Start empty in a folder of your own: --no-demo --data DIR"):
        workspace_of(changed(settings, demo=False), empty=False, seeded=True)


def test_the_demo_is_written_once_and_pointed_at_its_provider_again(
    embedded: Pinrail, settings: Settings, capsys: pytest.CaptureFixture[str]
):
    assert prepared(embedded) is Workspace.DEMO
    assert read_models.was_seeded(embedded.store)
    assert "Writing the demo workspace" in capsys.readouterr().out
    moved = Pinrail(changed(settings, recorded_port=free_port()), embedded.store, embedded.clock)
    assert prepared(moved) is Workspace.DEMO
    assert capsys.readouterr().out == ""
    urls = {provider.base_url for provider in registry.providers(embedded.store, ROOT)}
    assert f"http://127.0.0.1:{moved.settings.recorded_port}/v1" in urls


def test_an_empty_store_of_ones_own_stays_empty(embedded: Pinrail, settings: Settings):
    own = Pinrail(changed(settings, demo=False), embedded.store, embedded.clock)
    assert prepared(own) is Workspace.OWN
    assert registry.providers(embedded.store, ROOT) == []


def test_a_start_for_others_to_reach_says_that_the_demo_keeps_out(
    embedded: Pinrail, settings: Settings, capsys: pytest.CaptureFixture[str]
):
    public = Pinrail(changed(settings, host="0.0.0.0"), embedded.store, embedded.clock)
    assert prepared(public) is Workspace.OWN
    assert "Starting empty: the demo" in capsys.readouterr().out
    assert not read_models.was_seeded(embedded.store)


# -- the parts ------------------------------------------------------------------------------------


def test_everything_is_gateway_dashboard_and_scheduler_each_by_its_own_command(settings: Settings):
    parts = own_parts(settings, gateways=1)
    assert [part.command[-1] for part in parts] == ["gateway", "dashboard", "scheduler"]
    assert [port.number for part in parts for port in part.ports] == [8080, 8501]
    gateway, dashboard, scheduler = parts
    assert gateway.health_url == "http://127.0.0.1:8080/readyz"
    assert dashboard.health_url == "http://127.0.0.1:8501/healthz"
    assert scheduler.health_url is None


def test_several_gateways_have_consecutive_ports_and_names_of_their_own(settings: Settings):
    gateways = own_parts(changed(settings, gateway_port=9000), gateways=3)[:3]
    said = [(p.name, p.env["PINRAIL_GATEWAY_NAME"], p.env["PINRAIL_GATEWAY_PORT"]) for p in gateways]
    assert said == [(f"gateway-{n}", f"gateway-{n}", str(8999 + n)) for n in (1, 2, 3)]


def test_the_parts_get_what_was_given_to_the_whole(settings: Settings):
    told = changed(settings, host="127.0.0.2", port=9001, gateway_port=9002)
    for part in [*own_parts(told, gateways=1), *demo_parts(told)]:
        env = {name.lower().removeprefix("pinrail_"): value for name, value in part.env.items()}
        again = Settings.read(**{name: value for name, value in env.items() if name in Settings.model_fields})
        assert (again.port, again.data_dir, again.demo) == (9001, told.data_dir.resolve(), True)
        assert again.host == ("127.0.0.1" if part.name == "recorded" else "127.0.0.2")


def test_ports_end_somewhere(settings: Settings):
    with pytest.raises(CannotStart, match="no ports above 65535"):
        own_parts(changed(settings, gateway_port=65530), gateways=10)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80")],
)
def test_a_part_is_asked_for_its_health_on_this_machine(settings: Settings, host: str, url: str):
    assert address(changed(settings, host=host), 80) == url


# -- what is said ---------------------------------------------------------------------------------


def test_the_banner_of_the_demo_says_where_who_and_how_to_go_on(settings: Settings):
    said = banner(settings, own_parts(settings, gateways=2), Workspace.DEMO, nobody_yet=False)
    for word in (
        "http://127.0.0.1:8501",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:8081/v1",
        "http://127.0.0.1:8501/api/v1",
        "viewer, oncall, approver, admin with the password demo",
        "pk-demo",
        "--no-demo --data DIR",
        "Ctrl-C",
    ):
        assert word in said


def test_the_banner_of_an_empty_store_says_how_to_become_somebody(settings: Settings):
    said = banner(settings, own_parts(settings, gateways=1), Workspace.OWN, nobody_yet=True)
    assert f"pinrail --data {settings.data_dir} user add NAME --role admin" in said
    assert "demo" not in said


# -- refused before anything is written -----------------------------------------------------------


@pytest.mark.parametrize("flag", ["--port", "--gateway-port"])
def test_a_port_in_use_is_named_with_its_flag_and_nothing_is_written(tmp_path: Path, flag: str):
    data = tmp_path / "data"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        other = {"--port": "--gateway-port", "--gateway-port": "--port"}[flag]
        desk = Desk({"PINRAIL_DATABASE_URL": None, "PINRAIL_URL": None})
        said = desk("up", "--data", str(data), flag, str(number), other, str(free_port()))
    assert said.code == 1
    assert f"Port {number} is in use" in said.err
    assert flag in said.err
    assert not data.exists()


def test_the_port_of_the_demos_provider_is_asked_for_before_the_demo_is_written(embedded: Pinrail):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", embedded.settings.recorded_port))
        taken.listen()
        with pytest.raises(Exception, match=everything.RECORDED_FLAG):
            prepared(embedded)
    assert not read_models.was_seeded(embedded.store)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    desk = Desk({"PINRAIL_DATABASE_URL": None, "PINRAIL_URL": None})
    said = desk("--data", str(file / "data"), "status")
    assert said.code == 1
    assert "Choose one with --data DIR" in said.err
