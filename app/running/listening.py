"""Finds out, before anything is started, whether a port is free, and if not, who has it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import PinrailError

LISTENING = "0A"  # how /proc/net/tcp writes that state


class CannotListen(PinrailError):
    """A part cannot listen where it was told to; the message says why and which flag chooses another place."""

    code = "cannot_listen"


@dataclass(frozen=True)
class Port:
    """Where a part wants to listen, and the flag by which a person chooses another number."""

    host: str
    number: int
    flag: str


def refuse_taken(ports: Iterable[Port]) -> None:
    """Refuse the first port at which nobody could listen."""
    wanted: dict[int, Port] = {}
    for port in ports:
        if port.number in wanted:
            other = wanted[port.number]
            raise CannotListen(f"{other.flag} and {port.flag} both say {port.number}: give one of them another number.")
        wanted[port.number] = port
        fault = _fault_of_listening(port)
        if fault is not None:
            raise CannotListen(_sentence(port, fault))


def _fault_of_listening(port: Port) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            port.host, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the servers do: a port that was closed a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as fault:
        return fault
    return None


def _sentence(port: Port, fault: OSError) -> str:
    if fault.errno == errno.EADDRINUSE:
        holder = who_listens(port.number)
        if holder is None:
            ask = f"`ss -ltnp 'sport = :{port.number}'` (macOS: `lsof -nP -iTCP:{port.number}`)"
            return (
                f"Port {port.number} is in use, and {ask} tells by whom: stop that program, "
                f"or choose another port with {port.flag}."
            )
        return f"Port {port.number} is in use by {holder}: stop it, or choose another port with {port.flag}."
    if fault.errno == errno.EACCES:
        return f"Port {port.number} needs more rights than you have: choose one above 1023 with {port.flag}."
    return f"Nobody can listen at {port.host}, port {port.number} ({fault.strerror}): choose a host with --host."


def who_listens(number: int) -> str | None:
    """Name the process that listens at a port, where the system lets us see it (Linux, and our own processes)."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(number)}
    if not sockets:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(handle) in sockets for handle in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {folder.name} ({words[:80]})"
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return None


def _listening_inodes(number: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == number:
                found.add(fields[9])
    return found
