"""`python -m benchmarks [NAME ...]`: all of them, or those named."""

import sys

from benchmarks import backfill, memory, planning, search_overhead

ALL = {
    "backfill": backfill.main,
    "memory": memory.main,
    "planning": planning.main,
    "search_overhead": search_overhead.main,
}

if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(ALL)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
    for name in sys.argv[1:] or ALL:
        ALL[name]()
