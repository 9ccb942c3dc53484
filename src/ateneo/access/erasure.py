"""Erasing a company: everything that is its is deleted, looked for, and reported."""

from collections.abc import Mapping
from dataclasses import dataclass

from ateneo.db import audit, empresas
from ateneo.db.audit import AuditEntry
from ateneo.db.pool import Database
from ateneo.tenant_id import stored_tenant_id
from ateneo.types import Tenant


@dataclass(frozen=True, slots=True)
class Erasure:
    """Rows by table: what was deleted, and what was found afterwards."""

    empresa_id: str
    deleted: Mapping[str, int]
    remaining: Mapping[str, int]

    @property
    def clean(self) -> bool:
        return not self.remaining


async def erase(db: Database, empresa_id: Tenant, *, actor: str) -> Erasure:
    """Deletes the company and looks whether anything is left: another program may have written meanwhile.

    Its audit log goes, too, and begins anew with one line that says so. Raises UnknownEmpresa.
    """
    empresa_id = stored_tenant_id(empresa_id)
    deleted = await empresas.erase(db, empresa_id)
    rows = sum(deleted.values())
    await audit.note_erasure(db, AuditEntry(empresa_id, actor, "empresas_delete", 200, results=rows))
    return Erasure(empresa_id, deleted, await empresas.remaining(db, empresa_id))
