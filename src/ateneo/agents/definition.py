"""What an agent may be: checked before it is stored."""

import re
from collections.abc import Collection
from dataclasses import replace

from ateneo.errors import BadArgument
from ateneo.i18n import number, tr
from ateneo.search.filters import checked_filter
from ateneo.text.clean import clean
from ateneo.types import Agent

MOST_INSTRUCTIONS = 20_000
TOOLS = ("search",)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


def checked(agent: Agent, *, models: Collection[str], most_answer_tokens: int) -> Agent:
    """The agent with texts that can be stored, of one of the `models`. Raises BadArgument, which names the field."""
    _require(
        bool(_ID.fullmatch(agent.agent_id)),
        "agent_id",
        agent.agent_id[:40],
        tr("letras, números, punto, guiones; hasta 64", "letters, digits, dot, hyphens; up to 64"),
    )
    texts = replace(
        agent,
        name=clean(agent.name).strip(),
        instructions=clean(agent.instructions).strip(),
        filter=checked_filter(agent.filter),
    )
    _require(len(texts.name) <= 200, "name", texts.name[:40], tr("hasta 200 caracteres", "up to 200 characters"))
    rule = tr(f"hasta {number(MOST_INSTRUCTIONS)} caracteres", f"up to {number(MOST_INSTRUCTIONS)} characters")
    _require(len(texts.instructions) <= MOST_INSTRUCTIONS, "instructions", texts.instructions[:40], rule)
    _require(
        agent.language is None or bool(_LANGUAGE.fullmatch(agent.language)),
        "language",
        agent.language,
        tr("un código como es, en o pt", "a code such as es, en or pt"),
    )
    rule = tr(
        f"uno de los que permite ATENEO_CHAT_MODELS: {', '.join(models)}",
        f"one of those that ATENEO_CHAT_MODELS allows: {', '.join(models)}",
    )
    _require(agent.model is None or agent.model in models, "model", ascii(agent.model)[:200], rule)
    _between("k", agent.k, 1, 200)
    _between("dense_weight", agent.dense_weight, 0, 1)
    _between("context_tokens", agent.context_tokens, 1, 200_000)
    _between("answer_tokens", agent.answer_tokens, 1, most_answer_tokens)
    _require(set(agent.tools) <= set(TOOLS), "tools", ", ".join(agent.tools), ", ".join(TOOLS))
    return texts


def _between(name: str, value: float | None, least: float, most: float) -> None:
    rule = tr(f"va de {least} a {most}", f"it goes from {least} to {most}")
    _require(value is None or least <= value <= most, name, value, rule)


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise BadArgument(name=name, value=value, rule=rule)
