"""Promises of the supervisor, each on real processes: start, watch, bring back, stop, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from app.running.listening import CannotListen, Port, refuse_taken, who_listens
from app.running.supervisor import LONGEST_PAUSE_S, Part, comeback, run
from tests.cli.crew import (
    BROKEN,
    PARENT,
    POLITE,
    STUBBORN,
    free_port,
    is_alive,
    part,
    server,
    supervised,
    until,
)

# -- start and watch --------------------------------------------------------------------------------


def test_parts_are_announced_when_they_answer_and_their_lines_carry_their_names():
    with supervised(server("gateway"), server("dashboard")) as crew:
        crew.wait_for(r"(?m)^banner$")
        assert "gateway is ready after" in crew.said
        assert "dashboard is ready after" in crew.said
        assert "gateway   | pid" in crew.said
        assert crew.lines.index("banner") > max(
            number for number, line in enumerate(crew.lines) if "is ready after" in line
        )


def test_a_part_that_crashed_is_reported_and_started_again():
    with supervised(server("gateway"), server("dashboard")) as crew:
        crew.wait_for(r"Everything is ready")
        first = next(int(line.split()[-1]) for line in crew.lines if line.startswith("gateway   | pid"))

        os.kill(first, signal.SIGKILL)

        crew.wait_for(r"gateway was ended by SIGKILL; starting it again in 0\.5 s\.")
        crew.wait_for(r"(?s)starting it again.*gateway is ready after")
        assert len(crew.pids()) == 3
        assert is_alive(crew.pids()[-1])


def test_children_of_a_crashed_part_do_not_live_on_beside_its_successor():
    with supervised(part("gateway", PARENT)) as crew:
        crew.wait_for(r"Everything is ready")
        parent, child = crew.pids()

        os.kill(parent, signal.SIGKILL)

        crew.wait_for(r"starting it again")
        until("the child is gone", lambda: not is_alive(child))


def test_a_part_that_never_comes_up_is_given_up_and_nothing_stays_running():
    with supervised(server("gateway"), part("dashboard", BROKEN)) as crew:
        assert crew.ends() == 1
        assert crew.said.count("dashboard | no such database") == 3
        assert "ended by itself with exit code 1, 3 times before it was ever ready" in crew.said
        assert not any(is_alive(pid) for pid in crew.pids())


def test_pauses_between_starts_grow_and_never_vanish():
    pauses = [comeback("ended", failures_in_a_row=n, ever_ready=True).pause_s for n in range(1, 12)]

    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert comeback("ended", failures_in_a_row=3, ever_ready=False).pause_s is None


# -- stop -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_all_parts_which_may_say_goodbye(number):
    with supervised(part("gateway", POLITE), server("dashboard")) as crew:
        crew.wait_for(r"Everything is ready")

        crew.send(number)

        assert crew.ends() == 0
        assert "gateway   | goodbye" in crew.said
        assert crew.lines[-1] == "Everything is stopped."
        assert not any(is_alive(pid) for pid in crew.pids())


def test_a_second_ctrl_c_kills_what_does_not_listen():
    with supervised(part("gateway", STUBBORN)) as crew:
        crew.wait_for(r"Everything is ready")

        crew.send(signal.SIGINT)
        crew.wait_for(r"Stopping gateway")
        crew.send(signal.SIGINT)

        assert crew.ends() == 0
        assert "gateway did not stop by itself and was killed." in crew.said
        assert not is_alive(crew.pids()[0])


def test_nothing_lives_on_when_the_supervisor_itself_is_killed():
    with supervised(part("gateway", PARENT), part("dashboard", POLITE)) as crew:
        crew.wait_for(r"Everything is ready")
        pids = crew.pids()
        assert len(pids) == 3

        crew.process.kill()

        until("every part is gone", lambda: not any(is_alive(pid) for pid in pids))


def test_nothing_lives_on_even_if_its_warden_was_killed_before():
    with supervised(server("gateway")) as crew:
        crew.wait_for(r"Everything is ready")
        os.kill(warden_of(crew.process.pid), signal.SIGKILL)
        os.kill(crew.pids()[0], signal.SIGKILL)  # the news of it finds the warden gone
        crew.wait_for(r"(?s)starting it again.*is ready after")

        crew.process.kill()

        until("the part is gone", lambda: not is_alive(crew.pids()[-1]))


def warden_of(supervisor: int) -> int:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="utf-8").split()
    return next(int(pid) for pid in children if b"warden.py" in Path(f"/proc/{pid}/cmdline").read_bytes())


# -- ports ------------------------------------------------------------------------------------------


def test_a_port_in_use_is_refused_before_anything_starts_and_the_sentence_says_who_has_it(tmp_path):
    trace = tmp_path / "started"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        number = holder.getsockname()[1]
        taken = Part("gateway", ("touch", str(trace)), ports=(Port("127.0.0.1", number, "--gateway-port"),))

        with pytest.raises(CannotListen) as refusal:
            run([taken], say=lambda _line: None)

    assert f"Port {number} is in use by process {os.getpid()} (" in str(refusal.value)
    assert "choose another port with --gateway-port" in str(refusal.value)
    assert not trace.exists()


def test_one_number_for_two_parts_is_refused_with_both_flags():
    number = free_port()

    with pytest.raises(CannotListen, match=f"--port and --gateway-port both say {number}"):
        refuse_taken([Port("127.0.0.1", number, "--port"), Port("127.0.0.1", number, "--gateway-port")])


def test_an_address_of_another_machine_is_refused_with_the_flag_for_it():
    with pytest.raises(CannotListen, match="choose a host with --host"):
        refuse_taken([Port("192.0.2.1", free_port(), "--port")])


def test_a_free_port_is_not_refused_and_stays_free():
    number = free_port()

    refuse_taken([Port("127.0.0.1", number, "--port")])

    assert who_listens(number) is None
