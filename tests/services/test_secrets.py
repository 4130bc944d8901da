"""No password, key or token is anywhere it could be read: not in the store, not in its file, not in what is logged."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from core.domain.permissions import Role
from core.domain.versions import Provider
from core.errors import PinrailError
from core.services import access, callers, registry
from tests.services.world import ROOT, events, stocked
from tests.store.rows import everything

PASSWORD = "correct-horse-battery"
TYPED_AS_NAME = "hunter2hunter2"
KEY = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
IN_ADDRESS = "url-pass-9931"


def refusal_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(PinrailError) as refusal:
        attempt()
    return str(refusal.value)


def test_no_secret_is_kept_anywhere_in_clear(store, clock, caplog):
    caplog.set_level(logging.DEBUG)
    stocked(store, clock.now())
    access.add_person(store, ROOT, "ann", password=PASSWORD, role=Role.ADMIN, now=clock.now())
    session = access.sign_in(store, "ann", PASSWORD, address="10.0.0.1", now=clock.now())
    ann = access.who_is(store, session, now=clock.now())
    _token, token = access.create_token(store, ann, "laptop", scope="full", now=clock.now())
    _key, key = callers.create_key(store, ann, "web", now=clock.now())
    via_token = access.actor_for_token(store, token, now=clock.now())
    access.set_password(store, via_token, "ann", PASSWORD + "2", now=clock.now())
    mistakes = [
        lambda: access.sign_in(store, TYPED_AS_NAME, PASSWORD, now=clock.now()),
        lambda: access.sign_in(store, "ann", TYPED_AS_NAME, now=clock.now()),
        lambda: access.actor_for_token(store, token[:-1] + "#", now=clock.now()),
        lambda: registry.register_provider(store, ann, Provider("x", "openai", "https://x/v1", KEY), now=clock.now()),
        lambda: registry.change_provider(store, ann, "rec", secret_env=KEY, now=clock.now()),
        lambda: registry.register_provider(
            store, ann, Provider("y", "openai", f"https://me:{IN_ADDRESS}@x/v1"), now=clock.now()
        ),
    ]
    said = [refusal_of(mistake) for mistake in mistakes]

    hidden = [
        PASSWORD,
        TYPED_AS_NAME,
        KEY,
        IN_ADDRESS,
        session,
        token,
        token.split("_", 2)[2],
        key,
        key.split("_", 2)[2],
    ]
    places = {
        "the tables": repr(everything(store)),
        "the audit log": repr(events(store)),
        "the log": caplog.text,
        "the refusals": " ".join(said),
    }
    if store.dialect == "sqlite":
        file = Path(str(make_url(store.url).database))
        written = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
        places["the file"] = written.decode("latin-1")
    for place, text in places.items():
        assert text or place == "the log"
        assert [secret for secret in hidden if secret in text] == [], place


def test_two_people_with_one_password_do_not_look_alike(store, clock):
    for name in ("ann", "ben"):
        access.add_person(store, ROOT, name, password=PASSWORD, now=clock.now())
    hashes = [row for rows in everything(store)["person"] for row in rows if "argon2" in str(row)]
    assert len(set(hashes)) == 2


def test_no_secret_given_out_twice_is_the_same(store, clock):
    stocked(store, clock.now())
    access.add_person(store, ROOT, "ann", role=Role.ADMIN, now=clock.now())
    later = clock.now() + timedelta(days=1)
    given = [
        access.create_token(store, ROOT, "t", scope="read", person="ann", expires_at=later, now=clock.now())[1]
        for _ in range(20)
    ] + [callers.create_key(store, ROOT, "web", now=clock.now())[1] for _ in range(20)]
    assert len(set(given)) == 40
    assert all(len(secret.split("_", 2)[2]) == 43 for secret in given)
