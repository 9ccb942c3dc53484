"""hypothesis makes the same examples every time, in CI too; `make fuzz` takes the profile `fuzz` and makes new ones."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", max_examples=1000, database=None, deadline=None, print_blob=True)
settings.load_profile("repeatable")


def examples(count: int) -> int:
    """`max_examples` of a test that does not take the default: ten times as many in `make fuzz`."""
    return count if settings().derandomize else 10 * count
