"""How long a server asks to be left alone."""

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC

_LENGTH = re.compile(
    r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|hours?|h|minutes?|min|m|seconds?|secs?|s)?[\s,]*", re.IGNORECASE
)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` as seconds, as a length of time with its unit (`2s`,
    `1m30s`) or as an HTTP date. None where nothing of use is said; never negative."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _seconds(headers.get(name, "").strip(), unit)
        if seconds is not None:
            return seconds
    return _until(headers.get("retry-after", ""))


def _seconds(text: str, unit: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _length(text)
    return max(0.0, number * unit) if math.isfinite(number) else None


def _length(text: str) -> float | None:
    total, at = 0.0, 0
    while at < len(text):
        found = _LENGTH.match(text, at)
        if found is None:
            return None
        total += float(found[1]) * _unit((found[2] or "").lower())
        at = found.end()
    return total if text and math.isfinite(total) else None


def _unit(name: str) -> float:
    if name.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600.0, "m": 60.0}.get(name[:1], 1.0)


def _until(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, aware.timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
