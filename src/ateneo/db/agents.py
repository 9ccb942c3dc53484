"""Agents (table `ateneo.agent`): how each of a company's agents answers."""

import json
from dataclasses import asdict

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import Unknown
from ateneo.i18n import tr
from ateneo.types import Agent

# through text: on the caller's connections JSON may have a codec of theirs
_READ = (
    "agent_id, name, instructions, model, language, k, dense_weight, filter::text AS filter, context_tokens,"
    " answer_tokens, tools"
)


async def save(db: Database, empresa_id: str, agent: Agent) -> bool:
    """Stores the agent in the place of the company's agent of that id. Returns whether it is new."""
    row = json.dumps(asdict(agent), ensure_ascii=False, allow_nan=False)
    async with db.tenant(empresa_id) as connection:
        return bool(await connection.fetchval("SELECT ateneo.own_agent_save($1, $2::text::jsonb)", empresa_id, row))


async def find(db: Database, empresa_id: str, agent_id: str) -> tuple[Agent | None, bool]:
    """The company's agent of that id, and whether the company has agents at all."""
    rows = await db.read(empresa_id, f"SELECT {_READ} FROM ateneo.own_agent($1, $2)", agent_id)  # noqa: S608
    if not rows:
        return None, False
    return (_agent(rows[0]) if rows[0]["agent_id"] == agent_id else None), True


async def list_agents(db: Database, empresa_id: str) -> list[Agent]:
    """By id."""
    rows = await db.read(empresa_id, f"SELECT {_READ} FROM ateneo.own_agents($1) ORDER BY agent_id")  # noqa: S608
    return [_agent(row) for row in rows]


async def delete(db: Database, empresa_id: str, agent_id: str) -> None:
    """Its conversations stay. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        gone = await connection.fetchval("SELECT ateneo.own_agent_delete($1, $2)", empresa_id, agent_id)
    if not gone:
        raise Unknown(what=tr(f"el agente «{agent_id}»", f"agent “{agent_id}”"))


def _agent(row: asyncpg.Record) -> Agent:
    values = dict(row)
    values["filter"] = json.loads(row["filter"]) if row["filter"] is not None else None
    return Agent(**{**values, "tools": tuple(row["tools"])})
