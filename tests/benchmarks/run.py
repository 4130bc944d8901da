"""Runs the benchmarks and prints a table and JSON: `python3 -m tests bench [NAME…] [--json FILE]`."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import gateway_overhead, propagation
from tests.benchmarks.machine import Skipped, facts

BENCHMARKS: Mapping[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "gateway": (gateway_overhead.run, gateway_overhead.shown),
    "propagation": (propagation.run, propagation.shown),
}


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks named, or all; 0 unless one fails."""
    parser = argparse.ArgumentParser(prog="python3 -m tests bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(BENCHMARKS)}; all when left out")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    report: dict[str, Any] = {"machine": facts()}
    for name in given.names or BENCHMARKS:
        measure, shown = BENCHMARKS[name]
        try:
            report[name] = measure()
            print(shown(report[name]), flush=True)
        except Skipped as reason:
            report[name] = {"skipped": str(reason)}
            print(f"\n{name}: skipped, because {reason}", flush=True)
    text = json.dumps(report, indent=2)
    print(f"\n{text}")
    if given.json:
        given.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
