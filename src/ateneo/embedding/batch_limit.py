"""How much one request may hold: what a provider is known to take, less what it turned out not to take."""

from collections.abc import Callable, Sequence

from ateneo.types import Limits


def pack(tokens: Sequence[int], limits: Limits) -> list[range]:
    """Splits texts, given by their token counts, into requests within `limits`: consecutive, in order, none left out.

    A text that alone exceeds `limits.tokens` travels alone.
    """
    requests: list[range] = []
    start = total = 0
    for index, count in enumerate(tokens):
        if index > start and (index - start == limits.inputs or total + count > limits.tokens):
            requests.append(range(start, index))
            start, total = index, 0
        total += count
    if tokens:
        requests.append(range(start, len(tokens)))
    return requests


class BatchLimit:
    """One a service. What is learnt holds as long as the process."""

    def __init__(self, known: Callable[[], Limits]) -> None:
        """`known`: the provider's limits as the client has them."""
        self._known = known
        self._inputs: int | None = None
        self._tokens: int | None = None
        self._most_accepted = 0

    @property
    def now(self) -> Limits:
        known = self._known()
        return Limits(
            inputs=min(known.inputs, self._inputs or known.inputs),
            tokens=min(known.tokens, self._tokens or known.tokens),
            tokens_per_input=known.tokens_per_input,
        )

    def accepted(self, inputs: int) -> None:
        """One request of so many texts was answered."""
        self._most_accepted = max(self._most_accepted, inputs)

    def too_large(self, tokens: Sequence[int], *, of_tokens: bool = False) -> None:
        """One request of texts of so many tokens was refused, and each of them was accepted in a smaller one.

        Where the provider says so (`of_tokens`) or as many texts were accepted before, it was for the tokens; else, as
        far as can be told, for the number.
        """
        half = (len(tokens) + 1) // 2
        if len(tokens) > self._most_accepted and not of_tokens:
            self._inputs = min(half, self.now.inputs)
        else:
            self._tokens = min(max(sum(tokens[:half]), sum(tokens[half:]), 1), self.now.tokens)
