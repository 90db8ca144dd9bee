"""``python -m benchmarks``: run them all, or those that are named, and end with one table."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .measuring import Report

NAMES = ("client", "telemetry", "pool", "files", "workflows", "nodes")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--url", help="the server for client and files; default: embedded ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there, too")
    parser.add_argument("--scale", type=float, default=1, help="do so much of it; default: 1")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    report = Report(options.scale, options.url)
    for name in options.names or NAMES:
        import_module(f"benchmarks.{name}").measure(report)
    print(f"\n{report}")
    if options.json is not None:
        options.json.write_text(report.to_json() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
