"""`python -m benchmarks [NAME ...]`: all of them, or those named. `search`, `embedder` and `documents` take flags, each
alone."""

import sys
from itertools import takewhile

from benchmarks import (
    adding,
    backfill,
    bulk,
    context,
    documents,
    embedder,
    isolation,
    memory,
    not_yours,
    planning,
    search,
    search_overhead,
    source_triggers,
    switch,
    uploads,
    worker,
)

ALL = {
    "adding": adding.main,
    "backfill": backfill.main,
    "bulk": bulk.main,
    "context": context.main,
    "documents": documents.main,
    "embedder": embedder.main,
    "isolation": isolation.main,
    "memory": memory.main,
    "not_yours": not_yours.main,
    "planning": planning.main,
    "search_overhead": search_overhead.main,
    "search": search.main,
    "source_triggers": source_triggers.main,
    "worker": worker.main,
    "switch": switch.main,
    "uploads": uploads.main,
}

if __name__ == "__main__":
    names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    flags = sys.argv[1 + len(names) :]
    unknown = set(names) - set(ALL)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
    flagged = {"search": search.main, "embedder": embedder.main, "documents": documents.main}
    if flags and (len(names) != 1 or names[0] not in flagged):
        sys.exit(f"only {', '.join(flagged)} take flags, each alone")
    if flags:
        flagged[names[0]](flags)
    for name in [] if flags else names or ALL:
        ALL[name]()
