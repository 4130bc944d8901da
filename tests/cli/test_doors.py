"""Both doors are one: the same commands over the API and on the store print the same and end the same."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from app.api.app import PREFIX, create_api
from app.cli.program import program
from app.settings import Settings
from app.wiring import Pinrail
from core.domain.alerts import Found, Severity
from core.domain.permissions import Role, system
from core.services import alerting, reading, serving
from core.services.watches import Watch
from core.store.looking import Seen
from tests.api.world import served
from tests.cli.commands import commands_of
from tests.cli.desk import (
    ROOT,
    Desk,
    Said,
    desk_on,
    desk_over,
    furnished,
    gateway_confirms,
    gateway_joins,
    stop_the_clock,
    token_of,
)
from tests.clocks import SetClock

PASSWORD = "correct horse battery"
Step = tuple[int, str] | tuple[int, str, str] | Callable[[Pinrail], None]
"""The exit code that is expected, the command, and what is sent to it; or something that happens in between."""

EVERYTHING_TRACKED = (
    "--prompt support/v1 --data-version faq-2026-11 --parameter temperature=0.2 --parameter style=plain "
    "--introduced 2024-08-06 --input-price 2.50 --output-price 10 --tools --no-vision --context-tokens 128000 "
    "--notes first"
)


def trouble(pinrail: Pinrail) -> None:
    """Let a watch find that an alias is held for long."""
    now = pinrail.now()
    found = Found("hold-long:chat", "chat is held", "held by dana", "chat", "dana", "/alias?name=chat")
    watch = Watch("hold-long", Severity.WARNING, lambda _seen: iter([found]), "is held")
    given = {"escalate_after": timedelta(days=1), "watches": (watch,), "now": now}
    alerting.look(pinrail.store, system("scheduler"), Seen(now), **given)  # type: ignore[arg-type]


LIFE: list[Step] = [
    (0, "status"),
    (0, "whoami"),
    (0, "whoami --can alias:flip --alias chat"),
    (2, "whoami --can alias:fly"),
    # the registry
    (0, "provider list"),
    (0, "provider register openai --kind openai --base-url https://api.openai.com/v1 --secret-env KEY"),
    (0, "provider register openai --kind openai --base-url https://api.openai.com/v1 --secret-env KEY"),
    (4, "provider register openai --kind azure --base-url https://api.openai.com/v1 --secret-env KEY"),
    (2, "provider register other --kind telepathy --base-url https://api.openai.com/v1"),
    (0, "provider change openai --base-url https://eu.api.openai.com/v1 --secret-env= --description Europe"),
    (1, "provider change openai --description Europe"),
    (3, "provider change opena --description Europe"),
    (0, "prompt list"),
    (0, "prompt register support/v1 -", "Be kind.\n\nBe brief. ünïcode\n"),
    (4, "prompt register support/v1 -", "Be rude."),
    (2, "prompt register support/v2 -", " \n"),
    (0, "prompt show support/v1"),
    (3, "prompt show support/v9"),
    (0, "prompt list"),
    (0, "data-version list"),
    (0, "data-version register faq-2026-11 --rows 1204 --source s3://faq --description FAQ"),
    (2, "data-version register faq --sha256 abc"),
    (0, "data-version show faq-2026-11"),
    (3, "data-version show faq-2026-12"),
    (0, "data-version list"),
    (
        0,
        f"version register d --provider openai --model gpt-4o-2024-08-06 {EVERYTHING_TRACKED}",
    ),
    (1, "version register e --provider openai --model gpt-4o"),
    (2, "version register e --provider openai --model gpt-4o-2024-08-06 --parameter model=1"),
    (3, "version register e --provider opena --model gpt-4o-2024-08-06"),
    (0, "version note d second"),
    (1, "version note d second"),
    (0, "version issue add d loses-its-JSON --idempotency-key k4"),
    (0, "version issue add d loses-its-JSON --idempotency-key k4"),
    (3, "version issue add nobody loses-its-JSON"),
    (0, "version issue list"),
    (0, "version show d"),
    (0, "version issue resolve 1"),
    (1, "version issue resolve 1"),
    (3, "version issue resolve 7"),
    (0, "version issue list d"),
    (3, "version show dd"),
    (0, "version list"),
    # aliases
    (0, "alias list"),
    (0, "alias create chat a --description Chat --owner dana --fallback b --reason start --idempotency-key k0"),
    (4, "alias create chat a"),
    (3, "alias create chat2 nobody"),
    (2, "alias create Chat! a"),
    lambda pinrail: gateway_joins(pinrail, "gateway-1"),
    lambda pinrail: gateway_joins(pinrail, "gateway-2"),
    (0, "alias flip chat b --dry-run"),
    (0, "alias flip chat b --wait 0 --reason better --idempotency-key k1"),
    (0, "alias flip chat b --wait 0 --reason better --idempotency-key k1"),
    (4, "alias flip chat c --wait 0 --idempotency-key k1"),
    (1, "alias flip chat b --wait 0"),
    (4, "alias flip chat c --seen-revision 1"),
    (3, "alias flip chat c --seen-revision 99"),
    (3, "alias flip chat nobody"),
    (3, "alias flip chatt b"),
    (7, "alias receipt chat"),
    lambda pinrail: gateway_confirms(pinrail, "gateway-1", after_ms=41),
    (7, "alias receipt chat --revision 2 --wait 0.05"),
    lambda pinrail: gateway_confirms(pinrail, "gateway-2", after_ms=90),
    (0, "alias receipt chat"),
    (3, "alias receipt chat --revision 9"),
    (0, "alias show chat"),
    (0, "rollback chat --dry-run"),
    (0, "rollback chat --wait 0 --reason INC-1 --idempotency-key k2"),
    (0, "rollback chat --wait 0 --reason INC-1 --idempotency-key k2"),
    (1, "alias rollback chat --to c --wait 0"),
    (1, "alias rollback chat --to c --dry-run"),
    (1, "alias rollback chat --wait 0"),
    (0, "alias undo chat 3 --wait 0 --reason after-all"),
    (0, "alias undo chat 2 --wait 0"),
    (0, "alias flip chat c --wait 0"),
    (4, "alias undo chat 2 --wait 0"),
    (2, "alias undo chat 1 --wait 0"),
    (0, "alias hold chat --reason freeze"),
    (1, "alias hold chat"),
    (0, "alias release chat"),
    (0, "alias describe chat --description Talk --owner= --no-fallbacks"),
    (1, "alias describe chat --description Talk"),
    (2, "alias describe chat"),
    (0, "alias protect chat"),
    (1, "alias flip chat b --wait 0"),
    (0, "alias flip chat b --dry-run"),
    (0, "alias unprotect chat"),
    (0, "alias served chat --at 3m"),
    (3, "alias served chat --at 2020-01-01"),
    (2, "alias served chat --at yesterday"),
    (0, "status"),
    (1, "alias flip chat b --wait 0"),
    (0, "alias flip chat b --dry-run"),
    (0, "version quarantine b"),
    (0, "version lift-quarantine b --reason fixed"),
    (1, "version lift-quarantine b --reason fixed"),
    (3, "version quarantine nobody"),
    (0, "evacuate list"),
    (0, "evacuate run --version c --dry-run"),
    (1, "evacuate run --version d"),
    (2, "evacuate run"),
    (3, "evacuate show ev-none"),
    (3, "evacuate return ev-none"),
    (0, "alias retire chat --reason over"),
    (1, "alias flip chat c --wait 0"),
    (0, "alias history chat"),
    (0, "alias list"),
    # access
    (0, "user list"),
    (0, "user add ann --role operator --password-stdin", PASSWORD),
    (4, "user add ann"),
    (2, "user add bob --password-stdin", "short"),
    (0, "user grant ann approver --alias chat"),
    (1, "user grant ann approver --alias chat"),
    (3, "user grant ann approver --alias chatt"),
    (3, "user grant anne approver"),
    (0, "user ungrant ann operator"),
    (1, "user ungrant ann operator"),
    (0, "user password ann --password-stdin", PASSWORD + "!"),
    (0, "user sign-out ann"),
    (0, "user disable ann"),
    (1, "user disable ann"),
    (0, "user enable ann"),
    (2, "user disable root"),
    (0, "user list"),
    (0, "token create ci --scope rollback --person ann --alias chat --expires 90d"),
    (0, "token create mine --scope read"),
    (2, "token create ci --scope everything"),
    (2, "token create ci --scope read --expires 2020-01-01"),
    (3, "token revoke 00000000"),
    (0, "token list"),
    (0, "caller list"),
    (0, "caller create web --alias chat --idempotency-key k3"),
    (0, "caller create web --alias chat --idempotency-key k3"),
    (4, "caller create web2 --alias chat --idempotency-key k3"),
    (2, "caller create web --idempotency-key blank é"),
    (3, "caller create web --alias nobody"),
    (3, "caller revoke 00000000"),
    (0, "caller list"),
    # alerts
    (0, "alert list"),
    trouble,
    (0, "alert list"),
    (0, "alert show 1"),
    (3, "alert show 9"),
    (0, "alert ack 1 --reason on-it"),
    (1, "alert ack 1"),
    (3, "alert ack 9"),
    (0, "alert silence 1 --until 2h --reason noisy"),
    (2, "alert silence 1 --until 90d"),
    (2, "alert silence 1"),
    (0, "alert silence 1 --end"),
    (1, "alert silence 1 --end"),
    (0, "alert channel list"),
    (0, "alert channel add pager --kind webhook --url http://127.0.0.1:9/hook --secret-env ALERTS_SECRET"),
    (4, "alert channel add pager --kind slack --url-env SLACK_URL"),
    (2, "alert channel add other --kind carrier-pigeon"),
    (2, "alert channel add other --kind webhook --url https://a:b@example.com --secret-env S"),
    (0, "alert channel change pager --least critical --escalations-only"),
    (1, "alert channel change pager --least critical"),
    (3, "alert channel change pagr --off"),
    (0, "alert channel test pager --wait 0"),
    (3, "alert channel test pagr --wait 0"),
    (0, "alert deliveries --channel pager"),
    (0, "alert channel list"),
    (0, "alert channel remove pager"),
    (3, "alert channel remove pager"),
    (0, "alert resolve 1"),
    (1, "alert resolve 1"),
    (0, "alert list --state resolved"),
    (0, "alert list --state all --alias chat"),
    (0, "alert show 1"),
    # the audit log
    (0, "audit head"),
    (0, "audit verify"),
    (8, "audit verify --head " + "0" * 63 + "1"),
    (2, "audit verify --head abc"),
    (0, "audit list --limit 5"),
    (0, "audit list --limit 3 --before 20"),
    (0, "audit list --kind alias.flipped --outcome refused --by root"),
    (0, "audit list --subject alias:chat"),
    (2, "audit list --kind alias.flown"),
    (2, "audit list --limit 501"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    standing = SetClock()
    stop_the_clock(monkeypatch, standing)
    return standing


@pytest.fixture
def both(
    database_url: str, second_database_url: str, tmp_path: Path, clock: SetClock
) -> Iterator[list[tuple[Pinrail, Desk]]]:
    """Two equal installations: one asked directly, the other over its API, both as the admin `root`."""
    here = furnished(Settings(database_url=database_url, data_dir=tmp_path, minimum_dwell_s=0))
    there = furnished(Settings(database_url=second_database_url, data_dir=tmp_path, minimum_dwell_s=0))
    tokens = [token_of(pinrail, "root", role=Role.ADMIN) for pinrail in (here, there)]
    with served(Starlette(routes=[Mount(PREFIX, create_api(there))])) as url:
        yield [(here, desk_on(here, tokens[0])), (there, desk_over(url, tokens[1]))]
    here.store.close()
    there.store.close()


def without_chance(said: Said) -> Said:
    """What was said, with random ids, secrets and what hangs on them blotted out."""
    text = f"{said.out}\0{said.err}"
    text = re.sub(r"p[rk]_[0-9a-f]{8}_[\w-]{43}", "SECRET", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "EVENT_ID", text)
    text = re.sub(r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{8}\b|\b\d{8}\b", "RANDOM_ID", text)
    out, _, err = text.partition("\0")
    return Said(said.code, out, err)


@pytest.mark.parametrize(
    ("database_url", "as_json"),
    [("sqlite", False), ("sqlite", True), pytest.param("postgres", False, marks=pytest.mark.postgres)],
    indirect=["database_url"],
    ids=["on SQLite, for people", "on SQLite, as JSON", "on PostgreSQL, for people"],
)
def test_the_same_commands_print_and_end_the_same_through_both_doors(
    both: list[tuple[Pinrail, Desk]], clock: SetClock, as_json: bool
):
    for step in LIFE:
        clock.wait(minutes=1)
        if callable(step):
            for pinrail, _desk in both:
                gateway_stays(pinrail)
                step(pinrail)
            continue
        for pinrail, _desk in both:
            gateway_stays(pinrail)
        expected, line, *sent = step
        words = [*line.split(), *(["--json"] if as_json else [])]
        on_the_store, over_the_api = [without_chance(desk(*words, sent="".join(sent) or None)) for _, desk in both]
        assert on_the_store.code == expected, f"{line}: {on_the_store}"
        assert over_the_api == on_the_store, line


def gateway_stays(pinrail: Pinrail) -> None:
    """A minute passes between commands, so gateways must be heard of again to be counted."""
    for replica in reading.replicas(pinrail.store, ROOT):
        serving.heartbeat(pinrail.store, replica=replica.id, now=pinrail.now(), dropped=0)


def test_the_script_leaves_no_command_out():
    run = {" ".join(step[1].split()[:3]) for step in LIFE if not callable(step)}
    asked = {name for name in commands_of(program) if not name.startswith(HERE_ONLY)}
    missing = [name for name in asked if not any(f"{line} ".startswith(f"{name} ") for line in run)]
    assert not missing


HERE_ONLY = ("up", "gateway", "dashboard", "scheduler", "recorded", "demo-traffic", "db ")
"""What runs on this machine or works on its store, whatever PINRAIL_URL says."""
