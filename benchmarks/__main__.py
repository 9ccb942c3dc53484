"""`python -m benchmarks [NAME ...]`: all of them, or those named. `search` takes flags of its own behind its name."""

import sys
from itertools import takewhile

from benchmarks import backfill, memory, planning, search, search_overhead

ALL = {
    "backfill": backfill.main,
    "memory": memory.main,
    "planning": planning.main,
    "search_overhead": search_overhead.main,
    "search": search.main,
}

if __name__ == "__main__":
    names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    flags = sys.argv[1 + len(names) :]
    unknown = set(names) - set(ALL)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
    if flags and names != ["search"]:
        sys.exit("only `search` takes flags, and alone")
    if flags:
        search.main(flags)
    for name in [] if flags else names or ALL:
        ALL[name]()
