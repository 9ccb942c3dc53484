"""Every error that Ateneo raises, in one tree.

    AteneoError
    ├── SettingsError                a setting is missing or makes no sense
    ├── ExtraMissing                 an optional package is not installed
    ├── DatabaseError
    │   ├── DatabaseUnavailable      no server, wrong address or password, connection lost
    │   ├── StatementTimeout         it answers, but a statement took too long
    │   ├── ConnectionBusy           the caller's connection is in use by another task
    │   ├── DirectConnectionNeeded  a pooler shares the session, and this needs its own
    │   ├── PgvectorMissing          the extension is absent or older than 0.8.4
    │   ├── RightsMissing            the role may not do what is needed; NotTheOwner, NoLogin: another role's business
    │   ├── NotUpgraded              `ateneo db upgrade` has not run here
    │   ├── SchemaNewer              a later version upgraded it; MigrationChanged: one that ran had another text
    │   ├── TableBusy                another transaction holds the user's table
    │   ├── AdoptionRefused          a knowledge_chunks that cannot be adopted as it is
    │   ├── MaintenanceRunning       another `ateneo index` is at work on this database
    │   ├── ChunksTableRefused            a constraint of the user's own table stands in the way
    │   ├── ConstraintViolated       a constraint of one of Ateneo's own tables
    │   ├── ChunksTableGenerated          a column of it is generated, and cannot be written
    │   └── GenerationMismatch       the vectors stored belong to another model (ForeignVectors: those that other
    │                                programs left in the column); SwitchRefused: a change of it
    ├── InputError
    │   ├── EmptyQuery, QueryTooLong, BadArgument, AgentUnusable, OtherAgent, DatasetInvalid
    │   ├── Unknown: UnknownEmpresa, UnknownDocument, UnknownApiKey
    │   ├── SeveralDocuments         a document is named by a name that several have
    │   └── DocumentError
    │       ├── DocumentEmpty, DocumentTooLarge, DocumentEncrypted
    │       └── DocumentCorrupt, DocumentUnsupported, DocumentTooSlow, ReaderUnavailable
    ├── AccessDenied                 a key or token that is missing, unknown, expired or revoked
    │   ├── OtherEmpresa             a request that names another company than its key's
    │   ├── ScopeMissing             a key that may not do this
    │   └── RateLimited              a key that asks too often; TooManyFailures: too many wrong keys
    ├── ModelError                   a local model folder that cannot be used
    ├── Unexpected                   an exception that nobody foresaw: a fault in Ateneo or in a library
    └── ProviderError
        ├── ProviderRejected         401, 403, 404: trying again cannot help
        ├── ProviderBusy             429: try again later
        ├── ProviderUnavailable      5xx, timeouts, no connection
        ├── ProviderRefusedInput     400, 413, 422, a 429 for its size: this text is the problem
        └── ProviderAnswerInvalid    too few vectors, wrong dimension, NaN, garbage

Each says what happened, to what, and what to do about it (`remedy`), in the current language.
"""

from typing import ClassVar

from ateneo.i18n import number, tr

_AMOUNTS = {"length", "limit", "seconds"}


class AteneoError(Exception):
    """The root. Subclasses give two templates a language, filled with the keyword arguments.

    `code` is a stable name for programs (in problem+json and `--json`); `status` is the HTTP status that fits;
    `exit_code` is what the command line ends with.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    es: ClassVar[str] = "{detail}"
    en: ClassVar[str] = "{detail}"
    remedy_es: ClassVar[str] = ""
    remedy_en: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        super().__init__(fields)
        self.fields = fields

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross processes and are copied: as their fields, since their texts are made when they are read."""
        return _made, (type(self), self.fields), {k: v for k, v in vars(self).items() if k != "fields"}

    @property
    def message(self) -> str:
        return tr(self.es, self.en).format(**self._shown())

    @property
    def remedy(self) -> str:
        """What to do about it; empty where there is nothing to say."""
        return tr(self.remedy_es, self.remedy_en).format(**self._shown())

    def _shown(self) -> dict[str, object]:
        """The fields, amounts as people write them; what somebody typed stays as it was."""
        return {
            k: number(v, None) if k in _AMOUNTS and isinstance(v, int | float) else v for k, v in self.fields.items()
        }

    @property
    def loggable(self) -> str:
        """The message without what may quote a company's text: for logs, and for whoever looks after all companies."""
        return self.message

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


def _made(kind: type[AteneoError], fields: dict[str, object]) -> AteneoError:
    return kind(**fields)


class SettingsError(AteneoError):
    """Fields: name, detail."""

    code, exit_code = "settings", 2
    es = "{name}: {detail}"
    en = "{name}: {detail}"
    remedy_es = "Corregilo en el entorno o en el archivo .env y probá con `ateneo doctor`."
    remedy_en = "Correct it in the environment or in the .env file and try `ateneo doctor`."


class ExtraMissing(AteneoError, ImportError):
    """Fields: extra, package."""

    code, exit_code = "extra-missing", 2
    es = "Falta el paquete {package}."
    en = "The package {package} is missing."
    remedy_es = remedy_en = "pip install 'ateneo[{extra}]'"


class DatabaseUrlMissing(SettingsError):
    code = "no-database"
    es = "DATABASE_URL no está configurada: no sé a qué base de datos conectarme."
    en = "DATABASE_URL is not set: I do not know which database to connect to."
    remedy_es = (
        "Definila, por ejemplo DATABASE_URL=postgresql://usuario:clave@servidor:5432/base, "
        "o usá DATABASE_URL=embedded para una base propia en esta carpeta."
    )
    remedy_en = (
        "Set it, for example DATABASE_URL=postgresql://user:password@server:5432/database, "
        "or use DATABASE_URL=embedded for a database of its own in this folder."
    )


class DatabaseError(AteneoError):
    """Fields: detail."""

    code = "database"
    es = "La base de datos respondió con un error: {detail}"
    en = "The database answered with an error: {detail}"


class DatabaseUnavailable(DatabaseError):
    """Fields: where (host and database, never the password), detail, and the remedy where the cause is known."""

    code, status = "database-unavailable", 503
    es = "No hay conexión con la base de datos ({where}): {detail}"
    en = "No connection to the database ({where}): {detail}"
    remedy_es = "Revisá que el servidor esté en marcha y que DATABASE_URL sea correcta; `ateneo doctor` lo comprueba."
    remedy_en = "Check that the server is running and that DATABASE_URL is right; `ateneo doctor` checks it."

    @property
    def remedy(self) -> str:
        return str(self.fields.get("remedy") or super().remedy)


class StatementTimeout(DatabaseError):
    """Fields: where, detail."""

    code, status = "statement-timeout", 504
    es = "La base de datos ({where}) responde, pero cortó una consulta que tardaba demasiado: {detail}"
    en = "The database ({where}) answers, but a statement that took too long was ended: {detail}"
    remedy_es = "Repetí; si vuelve a pasar, mirá qué la ocupa (pg_stat_activity) y el statement_timeout de su rol."
    remedy_en = (
        "Try again; if it comes back, see what keeps it busy (pg_stat_activity) and its role's statement_timeout."
    )


class ConnectionBusy(DatabaseError):
    code = "connection-busy"
    es = "La conexión que recibió Ateneo ya está en uso por otra tarea del programa."
    en = "The connection that Ateneo was given is in use by another task of the program."
    remedy_es = "Pasale un pool (asyncpg.create_pool), o una conexión por tarea."
    remedy_en = "Pass a pool (asyncpg.create_pool), or a connection for each task."


class DirectConnectionNeeded(DatabaseError):
    """Fields: where."""

    code, exit_code = "direct-connection", 2
    es = "Entre Ateneo y la base ({where}) hay un pooler que comparte las sesiones, y esto necesita una propia."
    en = "A pooler that shares sessions stands between Ateneo and the database ({where}); this needs one of its own."
    remedy_es = (
        "Usá para esto la dirección directa del servidor (docs/how-to/database-url.md). Si el pooler da a cada "
        "conexión su propia sesión, agregá pgbouncer=false a DATABASE_URL."
    )
    remedy_en = (
        "Use the server's direct address for this (docs/how-to/database-url.md). If the pooler gives each connection a "
        "session of its own, add pgbouncer=false to DATABASE_URL."
    )


class PgvectorMissing(DatabaseError):
    """Fields: found (a version, or a word for none), needed."""

    code, status = "pgvector", 503
    es = "Hace falta la extensión pgvector {needed} o posterior; en esta base hay: {found}."
    en = "The extension pgvector {needed} or later is needed; this database has: {found}."
    remedy_es = (
        "Instalala en el servidor (paquete postgresql-NN-pgvector, o activala en tu proveedor) y ejecutá, con un rol "
        "que pueda hacerlo: CREATE EXTENSION vector; o, si ya está: ALTER EXTENSION vector UPDATE;"
    )
    remedy_en = (
        "Install it on the server (package postgresql-NN-pgvector, or enable it at your provider) and run, as a role "
        "that may: CREATE EXTENSION vector; or, if it is there already: ALTER EXTENSION vector UPDATE;"
    )


class RightsMissing(DatabaseError):
    """Fields: role (empty where it is not known), detail, sql (what a role that may can run)."""

    code, status = "rights", 503
    es = "El rol {role} no tiene permiso: {detail}."
    en = "The role {role} lacks the right: {detail}."
    remedy_es = "Pedile a quien administra la base que ejecute: {sql}"
    remedy_en = "Ask whoever administers the database to run: {sql}"

    @property
    def message(self) -> str:
        role = self.fields.get("role") or tr("de esta conexión", "of this connection")
        return tr(self.es, self.en).format(**self.fields | {"role": role})


class NotTheOwner(RightsMissing):
    """The login is the application's and may no more. Fields: role, detail."""

    remedy_es = (
        "Eso lo hace el dueño de las tablas de Ateneo: usá su DATABASE_URL (docs/security.md). Si la base se restauró, "
        "o alguien cambió sus permisos, que el dueño ejecute `ateneo db upgrade`."
    )
    remedy_en = (
        "That is for the owner of Ateneo's tables: use its DATABASE_URL (docs/security.md). If the database was "
        "restored, or somebody changed its rights, have the owner run `ateneo db upgrade`."
    )


class NoLogin(RightsMissing):  # the login is another program's; fields: role, detail
    remedy_es = (
        "Usá en DATABASE_URL un usuario de Ateneo. Lo crea un administrador: BEGIN; CREATE ROLE ateneo_api LOGIN "
        "NOINHERIT; GRANT ateneo_app TO ateneo_api; COMMIT; y su clave, \\password ateneo_api. No le des ateneo_app a "
        "un rol de tu aplicación: sus consultas dejarían de ver las filas (docs/security.md)."
    )
    remedy_en = (
        "Put a login of Ateneo's own into DATABASE_URL. An administrator makes it: BEGIN; CREATE ROLE ateneo_api LOGIN "
        "NOINHERIT; GRANT ateneo_app TO ateneo_api; COMMIT; and its password with \\password ateneo_api. Don't grant "
        "ateneo_app to a role of your application's: its queries would no longer see the rows (docs/security.md)."
    )


class NotUpgraded(DatabaseError):
    """Fields: where."""

    code, status = "not-upgraded", 503
    es = "La base {where} todavía no tiene las tablas de Ateneo, o son de otra versión."
    en = "The database {where} does not have Ateneo's tables yet, or they are of another version."
    remedy_es = "Ejecutá `ateneo db upgrade` (con `--plan` muestra antes el SQL)."
    remedy_en = "Run `ateneo db upgrade` (`--plan` shows the SQL first)."


class SchemaNewer(DatabaseError):
    """Fields: found, own (versions of the schema)."""

    code, status = "schema-newer", 503
    es = "Esta base ya la actualizó una versión posterior de Ateneo (esquema {found}; este programa trae el {own})."
    en = "A later version of Ateneo upgraded this database (schema {found}; this program brings {own})."
    remedy_es = "Actualizá este programa a la versión más nueva de las que usan la base; no cambié nada."
    remedy_en = "Update this program to the latest version that uses the database; nothing was changed."


class MigrationChanged(DatabaseError):
    """Fields: name."""

    code = "migration-changed"
    es = "La migración {name} se aplicó en esta base con otro texto que el de este programa."
    en = "The migration {name} was applied to this database with another text than this program's."
    remedy_es = "Las migraciones no se modifican: instalá de nuevo Ateneo sin cambios. No cambié nada."
    remedy_en = "Migrations are not changed: install Ateneo again, unmodified. Nothing was changed."


class TableBusy(DatabaseError):
    """Fields: detail (who holds it), sql (which looks at them)."""

    code, status = "table-busy", 503
    es = "La tabla knowledge_chunks sigue ocupada por {detail}. No cambié nada."
    en = "The table knowledge_chunks is still held by {detail}. Nothing was changed."
    remedy_es = "Esperá a que termine esa transacción y repetí `ateneo db upgrade`; para verla: {sql}"
    remedy_en = "Wait until that transaction has ended and run `ateneo db upgrade` again; to look at it: {sql}"


class AdoptionRefused(DatabaseError):
    """Fields: detail, advice (what to do), sql (statements that help, or nothing)."""

    code, exit_code = "adoption", 2
    es = "No puedo adoptar la tabla knowledge_chunks como está: {detail}. No cambié nada."
    en = "I cannot adopt the table knowledge_chunks as it is: {detail}. Nothing was changed."
    remedy_es = remedy_en = "{advice} {sql}"

    @property
    def remedy(self) -> str:
        return super().remedy.strip()


class ChunksTableGenerated(DatabaseError):  # fields: detail
    code, status = "record-generated", 409
    es = "Una columna de knowledge_chunks se genera de otra, y Ateneo no puede escribirla: {detail}"
    en = "A column of knowledge_chunks is generated from another, and Ateneo cannot write it: {detail}"
    remedy_es = "Ateneo busca en esa tabla; sus textos los escribe tu aplicación, en la columna de origen."
    remedy_en = "Ateneo searches that table; its texts are written by your application, in the column they come from."


class ChunksTableRefused(DatabaseError):
    """Fields: detail."""

    code, status = "record-refused", 409
    es = "La tabla knowledge_chunks no aceptó los datos: {detail}"
    en = "The table knowledge_chunks did not accept the data: {detail}"
    remedy_es = "Si document_id apunta a una tabla tuya, creá antes esa fila y pasá su id como document_id."
    remedy_en = "If document_id references a table of yours, create that row first and pass its id as document_id."


class ConstraintViolated(DatabaseError):
    """Fields: detail."""

    code = "constraint"
    es = "Una tabla propia de Ateneo no aceptó un dato: {detail}"
    en = "A table of Ateneo's own did not accept a value: {detail}"
    remedy_es = "`ateneo doctor` revisa el índice, y `ateneo db upgrade` lo completa."
    remedy_en = "`ateneo doctor` checks the index, and `ateneo db upgrade` completes it."


class MaintenanceRunning(DatabaseError):
    code, status = "maintenance-running", 409
    es = "Ya hay un mantenimiento del índice en marcha en esta base."
    en = "Maintenance of the index is under way already in this database."
    remedy_es = "Esperá a que termine; `ateneo index status` muestra cómo está el índice."
    remedy_en = "Wait until it has ended; `ateneo index status` shows how the index is."


class GenerationMismatch(DatabaseError):
    """Fields: stored, asked (model and dimensions of each, in words)."""

    code, status = "generation", 409
    es = "Los vectores guardados son de {stored}, pero la configuración pide {asked}: no se pueden comparar."
    en = "The stored vectors are of {stored}, but the settings ask for {asked}: they cannot be compared."
    remedy_es = "Volvé a ese modelo (ATENEO_EMBEDDING_PROVIDER), o pasá al otro sin cortes: `ateneo embeddings switch`."
    remedy_en = "Go back to that model (ATENEO_EMBEDDING_PROVIDER), or change to the other: `ateneo embeddings switch`."


class ForeignVectors(GenerationMismatch):  # fields: stored (dimensions), asked
    code = "foreign-vectors"
    es = "knowledge_chunks.embedding ya tiene vectores de {stored} dimensiones; el modelo configurado es {asked}."
    en = "knowledge_chunks.embedding has vectors of {stored} dimensions already; the settings' model is {asked}."
    remedy_es = (
        "Quedan como están. Configurá el modelo que los hizo (si es de OpenAI: OPENAI_API_KEY) y se usan sin pagarlos"
        " otra vez; solo si no los querés: `ateneo db forget-embeddings`."
    )
    remedy_en = (
        "They stay. Set the model that made them (one of OpenAI's: OPENAI_API_KEY) and they are used without paying"
        " again; only if you do not want them: `ateneo db forget-embeddings`."
    )


class SwitchRefused(DatabaseError):  # fields: detail, remedy
    code = "switch-refused"
    es = en = "{detail}"
    remedy_es = remedy_en = "{remedy}"


class InputError(AteneoError):
    """Fields: detail."""

    code, status, exit_code = "input", 422, 2


class BadArgument(InputError):
    """Fields: name, value, rule."""

    code = "bad-argument"
    es = "{name}={value} no vale: {rule}."
    en = "{name}={value} is not valid: {rule}."


class EmptyQuery(InputError):
    code = "empty-query"
    es = "La consulta está vacía."
    en = "The query is empty."
    remedy_es = 'Escribí una pregunta, por ejemplo: ateneo search --empresa-id X "¿cuántos días de vacaciones hay?"'
    remedy_en = 'Write a question, for example: ateneo search --empresa-id X "how many days of leave are there?"'


class QueryTooLong(InputError):
    """Fields: length, limit (characters)."""

    code = "query-too-long"
    es = "La consulta tiene {length} caracteres y el máximo es {limit}."
    en = "The query has {length} characters and the limit is {limit}."
    remedy_es = "Resumila, o subí ATENEO_MAX_QUERY_CHARS."
    remedy_en = "Shorten it, or raise ATENEO_MAX_QUERY_CHARS."


class AgentUnusable(InputError):
    """An agent that was stored with a filter that is none. Fields: empresa_id, agent_id, detail."""

    code, status = "agent-unusable", 409
    es = "El agente «{agent_id}» no puede responder, porque su filtro no se entiende: {detail}"
    en = "The agent “{agent_id}” cannot answer, since its filter cannot be understood: {detail}"
    remedy_es = (
        "Corregí su filtro, por ejemplo: ateneo agents set {agent_id} --empresa-id {empresa_id} "
        '--filter \'{{"tipo": "manual"}}\' (o PUT /agents/{agent_id}).'
    )
    remedy_en = (
        "Correct its filter, for example: ateneo agents set {agent_id} --empresa-id {empresa_id} "
        '--filter \'{{"tipo": "manual"}}\' (or PUT /agents/{agent_id}).'
    )


class OtherAgent(InputError):
    """Fields: conversation_id, agent_id (whose it is), asked."""

    code, status = "other-agent", 409
    es = "La conversación «{conversation_id}» es del agente «{agent_id}», no de «{asked}»."
    en = "Conversation “{conversation_id}” is agent “{agent_id}”'s, not “{asked}”'s."
    remedy_es = "Seguila con ese agente, o empezá otra."
    remedy_en = "Go on with that agent, or begin another."


class DatasetInvalid(InputError):
    """Fields: where (a file, with `:line` where one is to blame), detail."""

    code = "dataset"
    es = "{where} no sirve para evaluar: {detail}."
    en = "{where} cannot be evaluated with: {detail}."
    remedy_es = "El formato está en docs/how-to/evaluate.md."
    remedy_en = "The format is described in docs/how-to/evaluate.md."


class Unknown(InputError):
    """Fields: what."""

    code, status = "unknown", 404
    es, en = "No existe {what}.", "There is no {what}."


class UnknownEmpresa(Unknown):
    """Fields: empresa_id."""

    code = "unknown-empresa"
    es = "No hay nada de la empresa «{empresa_id}» en esta base."
    en = "There is nothing of the company “{empresa_id}” in this database."
    remedy_es = "Revisá el empresa_id, o cargá sus documentos con `ateneo ingest --empresa-id {empresa_id} CARPETA`."
    remedy_en = "Check the empresa_id, or load its documents with `ateneo ingest --empresa-id {empresa_id} FOLDER`."


class UnknownDocument(Unknown):
    """Fields: document_id."""

    code = "unknown-document"
    es, en = "No existe el documento «{document_id}».", "There is no document “{document_id}”."


class SeveralDocuments(InputError):
    """Fields: name, ids (some of them, as text)."""

    code, status = "several-documents", 409
    es = "Hay varios documentos que se llaman «{name}», y no sé cuál reemplazar: {ids}."
    en = "There are several documents named “{name}”, and I do not know which to replace: {ids}."
    remedy_es = "Decí cuál: document_id=ID, o PUT /documents/ID."
    remedy_en = "Say which: document_id=ID, or PUT /documents/ID."


class UnknownApiKey(Unknown):
    """Fields: key_id."""

    code = "unknown-api-key"
    es, en = "No existe la clave de API «{key_id}».", "There is no API key “{key_id}”."


class DocumentError(InputError):
    """Fields: name."""

    code = "document"


class DocumentEmpty(DocumentError):
    """Fields: name."""

    code = "document-empty"
    es = "«{name}» no tiene texto: está vacío, o es una imagen escaneada."
    en = "“{name}” has no text: it is empty, or a scanned image."
    remedy_es = "Si es un escaneo, pasale antes un OCR."
    remedy_en = "If it is a scan, run it through OCR first."


class DocumentTooLarge(DocumentError):
    """Fields: name, size, limit (each with its unit)."""

    code, status = "document-too-large", 413
    es = "«{name}» ocupa {size} y el máximo es {limit}."
    en = "“{name}” takes {size} and the limit is {limit}."
    remedy_es = "Dividilo, o subí ATENEO_MAX_UPLOAD_MB."
    remedy_en = "Split it, or raise ATENEO_MAX_UPLOAD_MB."


class DocumentEncrypted(DocumentError):
    """Fields: name."""

    code = "document-encrypted"
    es = "«{name}» está protegido con contraseña."
    en = "“{name}” is protected by a password."
    remedy_es = "Guardá una copia sin contraseña y subí esa."
    remedy_en = "Save a copy without the password and load that one."


class DocumentCorrupt(DocumentError):
    """Fields: name, detail."""

    code = "document-corrupt"
    es = "«{name}» no se puede leer: {detail}"
    en = "“{name}” cannot be read: {detail}"
    remedy_es = "Abrilo en su programa, guardalo de nuevo y probá otra vez."
    remedy_en = "Open it in its program, save it again and retry."


class DocumentUnsupported(DocumentError):
    """Fields: name, mime."""

    code, status = "document-unsupported", 415
    es = "«{name}» es de un tipo que no sé leer ({mime})."
    en = "“{name}” is of a kind that I cannot read ({mime})."
    remedy_es = "Convertilo a PDF, DOCX, HTML, Markdown o texto."
    remedy_en = "Convert it to PDF, DOCX, HTML, Markdown or text."


class DocumentTooSlow(DocumentError):
    """Fields: name, seconds."""

    code = "document-too-slow"
    es = "«{name}» no se puede leer: leerlo lleva más de {seconds} s."
    en = "“{name}” cannot be read: reading it takes more than {seconds} s."
    remedy_es = "Dividilo, o subí ATENEO_EXTRACT_TIMEOUT_S."
    remedy_en = "Split it, or raise ATENEO_EXTRACT_TIMEOUT_S."


class ReaderUnavailable(DocumentError):
    """Fields: name. The file is not at fault: no process that reads files can be started."""

    code, status = "reader-unavailable", 503
    es = "«{name}» no se pudo leer: no arranca el proceso que lee los archivos."
    en = "“{name}” could not be read: the process that reads files does not start."
    remedy_es = "Revisá la memoria libre y el límite de procesos de esta máquina, y probá otra vez."
    remedy_en = "Check the free memory and the limit of processes of this machine, and retry."


class AccessDenied(AteneoError):
    code, status = "access-denied", 401
    es = "La clave de API falta, no existe, venció o fue revocada."
    en = "The API key is missing, unknown, expired or revoked."
    remedy_es = "Mandala como «Authorization: Bearer CLAVE»; se crea con `ateneo keys create --empresa-id X`."
    remedy_en = "Send it as “Authorization: Bearer KEY”; `ateneo keys create --empresa-id X` makes one."


class OtherEmpresa(AccessDenied):
    code, status = "other-empresa", 403
    es = "El pedido nombra a una empresa que no es la de su clave de API."
    en = "The request names a company that is not the one of its API key."
    remedy_es = "Quitá empresa_id del pedido: la clave ya dice de quién es."
    remedy_en = "Leave empresa_id out of the request: the key says whose it is."


class ScopeMissing(AccessDenied):
    code, status = "scope-missing", 403
    es = "La clave no tiene el permiso «{scope}», que hace falta para esto."
    en = "The key lacks the scope “{scope}”, which this takes."
    remedy_es = "Usá otra clave; `ateneo keys create --scope {scope}` crea una que lo tiene."
    remedy_en = "Use another key; `ateneo keys create --scope {scope}` makes one that has it."


class RateLimited(AccessDenied):
    code, status = "rate-limited", 429
    es = "Demasiados pedidos con esta clave: {limit} por minuto como máximo."
    en = "Too many requests with this key: {limit} a minute at most."
    remedy_es = "Repetí en {retry_after} s, o subí ATENEO_REQUESTS_PER_MINUTE."
    remedy_en = "Ask again in {retry_after} s, or raise ATENEO_REQUESTS_PER_MINUTE."


class TooManyFailures(RateLimited):  # fields: retry_after
    code = "too-many-failures"
    es, en = "Hubo demasiados intentos con claves que no valen.", "There were too many attempts with wrong keys."
    remedy_es, remedy_en = "Revisá la clave; repetí en {retry_after} s.", "Check the key; try in {retry_after} s."


class ModelError(AteneoError):
    """Fields: folder, detail."""

    code, exit_code = "model", 2
    es = "El modelo local en {folder} no sirve: {detail}"
    en = "The local model in {folder} cannot be used: {detail}"
    remedy_es = "Hace falta una carpeta con model.onnx y tokenizer.json; docs/how-to/models.md dice cómo prepararla."
    remedy_en = "It takes a folder with model.onnx and tokenizer.json; docs/how-to/models.md tells how to make one."


class Unexpected(AteneoError):
    """Fields: where, kind (the exception's class)."""

    code = "unexpected"
    es = "Falla inesperada en {where} ({kind})."
    en = "Unexpected failure in {where} ({kind})."
    remedy_es = "El registro (stderr) dice por dónde pasó; con eso, por favor, informala. Lo hecho queda guardado."
    remedy_en = "The log (stderr) says where it went through; please report it with that. What was done is kept."


class ProviderError(AteneoError):
    """Fields: provider, detail."""

    code, status = "provider", 502
    es = "{provider} falló: {detail}"
    en = "{provider} failed: {detail}"

    @property
    def loggable(self) -> str:
        """A provider may repeat what it was sent."""
        return type(self)(**self.fields | {"detail": "(ateneo doctor)"}).message


class ProviderRejected(ProviderError):
    """Fields: provider, detail, http_status."""

    code = "provider-rejected"
    es = "{provider} rechazó el pedido ({http_status}): {detail}"
    en = "{provider} rejected the request ({http_status}): {detail}"
    remedy_es = "Revisá la clave, el modelo y la dirección del proveedor; repetir no ayuda, así que me detuve."
    remedy_en = "Check the provider's key, model and address; trying again cannot help, so I stopped."


class ProviderBusy(ProviderError):
    """Fields: provider, detail, retry_after (seconds or None)."""

    code, status = "provider-busy", 503
    es = "{provider} está limitando los pedidos (429): {detail}"
    en = "{provider} is limiting requests (429): {detail}"
    remedy_es = "Esperá un momento y repetí; lo hecho queda guardado."
    remedy_en = "Wait a moment and run it again; what was done is kept."


class ProviderUnavailable(ProviderError):
    """Fields: provider, detail."""

    code, status = "provider-unavailable", 503
    es = "{provider} no responde: {detail}"
    en = "{provider} does not answer: {detail}"
    remedy_es, remedy_en = "Repetí más tarde; lo hecho queda guardado.", "Run it again later; what was done is kept."


class ProviderRefusedInput(ProviderError):
    """Fields: provider, detail, http_status."""

    code = "provider-refused-input"
    es = "{provider} no aceptó un texto: {detail}"
    en = "{provider} did not accept a text: {detail}"


class ProviderAnswerInvalid(ProviderError):
    """Fields: provider, detail."""

    code = "provider-answer"
    es = "{provider} devolvió una respuesta que no sirve: {detail}"
    en = "{provider} returned an answer that cannot be used: {detail}"
    remedy_es, remedy_en = "No se guardó nada de ella.", "Nothing of it was stored."
