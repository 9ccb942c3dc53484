"""Every error that Ateneo raises, in one tree. What people read of them stands in `error_texts`."""

from typing import ClassVar

from ateneo.error_texts import TEXTS, Texts
from ateneo.i18n import number, tr

_AMOUNTS = {"length", "limit", "seconds"}  # written for people; what somebody typed stays as it was


class AteneoError(Exception):
    """The root; a subclass says what is its own. `code` is a stable name for programs (problem+json, `--json`),
    `status` the HTTP status that fits, `exit_code` what the command line ends with, `field_names` the arguments, which
    fill its texts. `given` is for copies and other processes, which make an exception again from its `args`."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    field_names: ClassVar[tuple[str, ...]] = ("detail",)
    texts: ClassVar[Texts] = Texts("{detail}", "{detail}")

    def __init_subclass__(cls, code: str = "", status: int = 0, exit_code: int = 0, fields: str | None = None) -> None:
        cls.code, cls.status, cls.exit_code = code or cls.code, status or cls.status, exit_code or cls.exit_code
        cls.field_names = cls.field_names if fields is None else tuple(fields.split())
        cls.texts = TEXTS.get(cls.__name__, cls.texts)

    def __init__(self, given: dict[str, object] | None = None, /, **fields: object) -> None:
        self.fields = fields if given is None else given
        super().__init__(self.fields)

    @property
    def message(self) -> str:
        return self._filled(self.texts.es, self.texts.en)

    @property
    def remedy(self) -> str:
        """What to do about it, the cause's own where it is known; empty where there is nothing to say."""
        return str(self.fields.get("remedy") or self._filled(self.texts.remedy_es, self.texts.remedy_en)).strip()

    @property
    def loggable(self) -> str:
        """The message without what may quote a company's text: for logs, and for whoever looks after all companies."""
        return self.message

    def _filled(self, es: str, en: str) -> str:
        amounts = {k: number(v, None) for k, v in self.fields.items() if k in _AMOUNTS and isinstance(v, int | float)}
        return tr(es, en).format(**self.fields | amounts)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class SettingsError(AteneoError, code="settings", exit_code=2, fields="name detail"):
    """A setting is missing or makes no sense."""


class DatabaseUrlMissing(SettingsError, code="no-database", fields=""):
    """DATABASE_URL is not set."""


class ExtraMissing(AteneoError, ImportError, code="extra-missing", exit_code=2, fields="extra package"):
    """An optional package is not installed."""


class DatabaseError(AteneoError, code="database"):
    """The database answered with an error."""


class DatabaseUnavailable(DatabaseError, code="database-unavailable", status=503, fields="where detail remedy"):
    """No connection, or it was lost. `where` is host and database, never the password."""


class StatementTimeout(DatabaseError, code="statement-timeout", status=504, fields="where detail"):
    """The database answers, but a statement took too long."""


class ConnectionBusy(DatabaseError, code="connection-busy", fields=""):
    """The caller's connection is in use by another task."""


class UnsupportedDriver(AteneoError, TypeError, code="unsupported-driver", exit_code=2, fields="given remedy"):
    """What was given as a database is nothing that Ateneo can work with, or in (an open transaction)."""


class DirectConnectionNeeded(DatabaseError, code="direct-connection", exit_code=2, fields="where"):
    """A pooler shares the session, and this needs one of its own."""


class PgvectorMissing(DatabaseError, code="pgvector", status=503, fields="found needed"):
    """The extension is absent or too old; `found` is its version, or a word for none."""


class RightsMissing(DatabaseError, code="rights", status=503, fields="role detail sql"):
    """The role (empty where it is not known) may not do what is needed; `sql` is for a role that may."""

    @property
    def message(self) -> str:
        role = self.fields.get("role") or tr("de esta conexión", "of this connection")
        return tr(self.texts.es, self.texts.en).format(**self.fields | {"role": role})


class NotTheOwner(RightsMissing, fields="role detail"):
    """The login is the application's, and this is for the owner of the tables."""


class NoLogin(RightsMissing, fields="role detail"):
    """The login is another program's."""


class NotUpgraded(DatabaseError, code="not-upgraded", status=503, fields="where"):
    """`ateneo db upgrade` has not run here."""


class UninstallRefused(DatabaseError, code="uninstall-refused", status=409, fields="detail"):
    """Something of the user's is made of what Ateneo would take away."""


class SchemaNewer(DatabaseError, code="schema-newer", status=503, fields="found own"):
    """A later version upgraded the database; the fields are versions of the schema."""


class MigrationChanged(DatabaseError, code="migration-changed", fields="name"):
    """A migration that ran had another text."""


class TableBusy(DatabaseError, code="table-busy", status=503, fields="table detail sql"):
    """Another transaction (`detail`) holds a table of the user's; `sql` looks at it."""


class AdoptionRefused(DatabaseError, code="adoption", exit_code=2, fields="detail advice sql"):
    """A knowledge_chunks that cannot be adopted as it is; `sql` are statements that help, or nothing."""


class ChunksTableGenerated(DatabaseError, code="record-generated", status=409):
    """A column of knowledge_chunks is generated, and cannot be written."""


class ChunksTableRefused(DatabaseError, code="record-refused", status=409):
    """A constraint of the user's own table stands in the way."""


class ConstraintViolated(DatabaseError, code="constraint"):
    """A constraint of one of Ateneo's own tables."""


class MaintenanceRunning(DatabaseError, code="maintenance-running", status=409, fields=""):
    """Another `ateneo index` is at work on this database."""


class GenerationMismatch(DatabaseError, code="generation", status=409, fields="stored asked"):
    """The stored vectors belong to another model; the fields are model and dimensions of each, in words."""


class ForeignVectors(GenerationMismatch, code="foreign-vectors"):
    """Other programs left vectors of another model in the column; `stored` is their dimensions."""


class SwitchRefused(DatabaseError, code="switch-refused", fields="detail remedy"):
    """The change to another model cannot go on."""


class InputError(AteneoError, code="input", status=422, exit_code=2):
    """What was asked cannot be done as it was asked."""


class BadArgument(InputError, code="bad-argument", fields="name value rule"):
    """An argument that breaks its rule."""


class EmptyQuery(InputError, code="empty-query", fields=""):
    """A query without text."""


class QueryTooLong(InputError, code="query-too-long", fields="length limit"):
    """A query of more characters than the limit."""


class AgentUnusable(InputError, code="agent-unusable", status=409, fields="empresa_id agent_id detail"):
    """An agent that was stored with a filter that is none."""


class ModelNotAllowed(InputError, code="model-not-allowed", status=409, fields="empresa_id agent_id model allowed own"):
    """An agent that names a model that the operator does not allow; `own` is the settings' own."""


class OtherAgent(InputError, code="other-agent", status=409, fields="conversation_id agent_id asked"):
    """The conversation is of the agent `agent_id`, not of the one asked."""


class DatasetInvalid(InputError, code="dataset", fields="where detail"):
    """A question set that cannot be read; `where` is a file, with `:line` where one is to blame."""


class Unknown(InputError, code="unknown", status=404, fields="what"):
    """What was asked for does not exist."""


class UnknownEmpresa(Unknown, code="unknown-empresa", fields="empresa_id"):
    """There is nothing of that company."""


class UnknownDocument(Unknown, code="unknown-document", fields="document_id"):
    """The company has no such document."""


class UnknownApiKey(Unknown, code="unknown-api-key", fields="key_id"):
    """There is no such key."""


class UnknownJob(Unknown, code="unknown-job", fields="job_id"):
    """The company has no such job."""


class NoOriginal(Unknown, code="no-original", fields="document_id"):
    """Of this document the file was not kept."""


class JobEnded(InputError, code="job-ended", status=409, fields="job_id state"):
    """A job in a state in which it cannot be cancelled, or tried again."""


class JobCancelled(InputError, code="job-cancelled", status=409, fields="name"):
    """Somebody cancelled it while it was waited for."""


class TooManyJobs(InputError, code="too-many-jobs", status=429, fields="jobs limit"):
    """The company has as much waiting as it may; the fields are amounts with their nouns."""


class SeveralDocuments(InputError, code="several-documents", status=409, fields="name ids"):
    """A document is named by a name that several have; `ids` are some of them, as text."""


class DocumentError(InputError, code="document"):
    """A file that cannot be ingested."""


class DocumentEmpty(DocumentError, code="document-empty", fields="name"):
    """It has no text."""


class DocumentTooLarge(DocumentError, code="document-too-large", status=413, fields="name size limit remedy"):
    """`size` and `limit` have their units."""


class DocumentEncrypted(DocumentError, code="document-encrypted", fields="name"):
    """It is protected by a password."""


class DocumentCorrupt(DocumentError, code="document-corrupt", fields="name detail"):
    """It cannot be read."""


class DocumentUnsupported(DocumentError, code="document-unsupported", status=415, fields="name mime"):
    """It is of a type that no parser reads."""


class DocumentTooSlow(DocumentError, code="document-too-slow", fields="name seconds"):
    """Reading it takes longer than the limit."""


class ReaderUnavailable(DocumentError, code="reader-unavailable", status=503, fields="name"):
    """The file is not at fault: no process that reads files can be started."""


class AccessDenied(AteneoError, code="access-denied", status=401, fields=""):
    """A key or token that is missing, unknown, expired or revoked."""


class OtherEmpresa(AccessDenied, code="other-empresa", status=403):
    """A request that names another company than its key's."""


class ScopeMissing(AccessDenied, code="scope-missing", status=403, fields="scope"):
    """A key that may not do this."""


class RateLimited(AccessDenied, code="rate-limited", status=429, fields="limit retry_after"):
    """A key that asks too often."""


class KeyReused(InputError, code="idempotency-key-reused", status=422, fields=""):
    """An Idempotency-Key that came with another request before."""


class RequestRunning(AteneoError, code="request-running", status=409, fields="retry_after"):
    """The first request with its Idempotency-Key is still being answered."""


class TooManyFailures(RateLimited, code="too-many-failures", fields="retry_after"):
    """Too many wrong keys."""


class ModelError(AteneoError, code="model", exit_code=2, fields="folder detail"):
    """A local model folder that cannot be used."""


class HubError(AteneoError, code="hub", fields="name detail"):
    """A model cannot be had from a hub."""


class ProviderError(AteneoError, code="provider", status=502, fields="provider detail"):
    """A provider failed."""

    @property
    def loggable(self) -> str:
        """A provider may repeat what it was sent."""
        return type(self)(**self.fields | {"detail": "(ateneo doctor)"}).message


class ProviderRejected(ProviderError, code="provider-rejected", fields="provider detail http_status"):
    """401, 403, 404: trying again cannot help."""


class ProviderBusy(ProviderError, code="provider-busy", status=503, fields="provider detail retry_after"):
    """429: try again later, in `retry_after` seconds where it says so."""


class ProviderUnavailable(ProviderError, code="provider-unavailable", status=503, fields="provider detail retry_after"):
    """5xx, timeouts, no connection."""


class ProviderRefusedInput(ProviderError, code="provider-refused-input", fields="provider detail http_status"):
    """400, 413, 422, a 429 for its size: this text is the problem."""


class ProviderAnswerInvalid(ProviderError, code="provider-answer"):
    """Too few vectors, a wrong dimension, NaN, garbage."""


class Unexpected(AteneoError, code="unexpected", fields="where kind"):
    """An exception that nobody foresaw, of class `kind`: a fault in Ateneo or in a library."""
