"""Agents (table `ateneo.agent`): how each of a company's agents answers."""

import json
from dataclasses import asdict

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import Unknown
from ateneo.i18n import tr
from ateneo.types import Agent

_COLUMNS = (
    "agent_id, name, instructions, model, language, k, dense_weight, filter, context_tokens, answer_tokens, tools"
)
# through text: on the caller's connections JSON may have a codec of theirs
_READ = _COLUMNS.replace("filter", "filter::text AS filter")


async def save(db: Database, empresa_id: str, agent: Agent) -> bool:
    """Stores the agent in the place of the company's agent of that id. Returns whether it is new."""
    values = asdict(agent)
    values["filter"] = None if agent.filter is None else json.dumps(agent.filter, ensure_ascii=False, allow_nan=False)
    async with db.tenant(empresa_id) as connection:
        return bool(
            await connection.fetchval(
                f"INSERT INTO ateneo.agent (empresa_id, {_COLUMNS})"  # noqa: S608
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12)"
                " ON CONFLICT (empresa_id, agent_id) DO UPDATE SET name = $3, instructions = $4, model = $5,"
                " language = $6, k = $7, dense_weight = $8, filter = $9::text::jsonb, context_tokens = $10,"
                " answer_tokens = $11, tools = $12, updated_at = now() RETURNING xmax = 0",
                empresa_id,
                *(values[name] for name in _COLUMNS.split(", ")),
            )
        )


async def find(db: Database, empresa_id: str, agent_id: str) -> tuple[Agent | None, bool]:
    """The company's agent of that id, and whether the company has agents at all."""
    rows = await db.read(
        empresa_id,
        f"SELECT {_READ} FROM ateneo.agent WHERE empresa_id = $1 ORDER BY agent_id = $2 DESC LIMIT 1",  # noqa: S608
        agent_id,
    )
    if not rows:
        return None, False
    return (_agent(rows[0]) if rows[0]["agent_id"] == agent_id else None), True


async def list_agents(db: Database, empresa_id: str) -> list[Agent]:
    """By id."""
    rows = await db.read(
        empresa_id,
        f"SELECT {_READ} FROM ateneo.agent WHERE empresa_id = $1 ORDER BY agent_id",  # noqa: S608
    )
    return [_agent(row) for row in rows]


async def delete(db: Database, empresa_id: str, agent_id: str) -> None:
    """Its conversations stay. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        gone = await connection.fetchval(
            "DELETE FROM ateneo.agent WHERE empresa_id = $1 AND agent_id = $2 RETURNING true", empresa_id, agent_id
        )
    if not gone:
        raise Unknown(what=tr(f"el agente «{agent_id}»", f"agent “{agent_id}”"))


def _agent(row: asyncpg.Record) -> Agent:
    values = dict(row)
    values["filter"] = json.loads(row["filter"]) if row["filter"] is not None else None
    return Agent(**{**values, "tools": tuple(row["tools"])})
