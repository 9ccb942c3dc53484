"""What people read of the errors, in Spanish and in English, by the name of the class.

Placeholders are the error's fields. A class without an entry says what the class above it says.
"""

from typing import NamedTuple


class Texts(NamedTuple):
    """What happened, and what to do about it."""

    es: str
    en: str
    remedy_es: str = ""
    remedy_en: str = ""


_NO_RIGHT = ("El rol {role} no tiene permiso: {detail}.", "The role {role} lacks the right: {detail}.")

TEXTS: dict[str, Texts] = {
    "SettingsError": Texts(
        "{name}: {detail}",
        "{name}: {detail}",
        "Corregilo en el entorno o en el archivo .env y probá con `ateneo doctor`.",
        "Correct it in the environment or in the .env file and try `ateneo doctor`.",
    ),
    "ExtraMissing": Texts(
        "Falta el paquete {package}.",
        "The package {package} is missing.",
        "pip install 'ateneo[{extra}]'",
        "pip install 'ateneo[{extra}]'",
    ),
    "DatabaseUrlMissing": Texts(
        "DATABASE_URL no está configurada: no sé a qué base de datos conectarme.",
        "DATABASE_URL is not set: I do not know which database to connect to.",
        (
            "Definila, por ejemplo DATABASE_URL=postgresql://usuario:clave@servidor:5432/base, o usá "
            "DATABASE_URL=embedded para una base propia en esta carpeta."
        ),
        (
            "Set it, for example DATABASE_URL=postgresql://user:password@server:5432/database, or use "
            "DATABASE_URL=embedded for a database of its own in this folder."
        ),
    ),
    "DatabaseError": Texts(
        "La base de datos respondió con un error: {detail}", "The database answered with an error: {detail}"
    ),
    "DatabaseUnavailable": Texts(
        "No hay conexión con la base de datos ({where}): {detail}",
        "No connection to the database ({where}): {detail}",
        "Revisá que el servidor esté en marcha y que DATABASE_URL sea correcta; `ateneo doctor` lo comprueba.",
        "Check that the server is running and that DATABASE_URL is right; `ateneo doctor` checks it.",
    ),
    "StatementTimeout": Texts(
        "La base de datos ({where}) responde, pero cortó una consulta que tardaba demasiado: {detail}",
        "The database ({where}) answers, but a statement that took too long was ended: {detail}",
        "Repetí; si vuelve a pasar, mirá qué la ocupa (pg_stat_activity) y el statement_timeout de su rol.",
        "Try again; if it comes back, see what keeps it busy (pg_stat_activity) and its role's statement_timeout.",
    ),
    "ConnectionBusy": Texts(
        "La conexión que recibió Ateneo ya está en uso por otra tarea del programa.",
        "The connection that Ateneo was given is in use by another task of the program.",
        "Pasale un pool (asyncpg.create_pool), o una conexión por tarea.",
        "Pass a pool (asyncpg.create_pool), or a connection for each task.",
    ),
    "UnsupportedDriver": Texts(
        "Ateneo no sabe trabajar con esto ({given}).",
        "Ateneo cannot work with this ({given}).",
        (
            "Pasale un pool o una conexión de asyncpg, algo de SQLAlchemy sobre asyncpg o psycopg, un pool de psycopg, "
            'DATABASES["default"] de Django o una dirección postgresql:// (docs/how-to/drivers.md).'
        ),
        (
            "Pass a pool or connection of asyncpg, something of SQLAlchemy on asyncpg or psycopg, a pool of psycopg, "
            'Django\'s DATABASES["default"] or an address postgresql:// (docs/how-to/drivers.md).'
        ),
    ),
    "DirectConnectionNeeded": Texts(
        "Entre Ateneo y la base ({where}) hay un pooler que comparte las sesiones, y esto necesita una propia.",
        "A pooler that shares sessions stands between Ateneo and the database ({where}); this needs one of its own.",
        (
            "Poné la dirección directa del servidor en ATENEO_DIRECT_URL (docs/how-to/database-url.md). Si el pooler "
            "da a cada conexión su propia sesión, agregá pgbouncer=false a DATABASE_URL."
        ),
        (
            "Put the server's direct address into ATENEO_DIRECT_URL (docs/how-to/database-url.md). If the pooler gives "
            "each connection a session of its own, add pgbouncer=false to DATABASE_URL."
        ),
    ),
    "PgvectorMissing": Texts(
        "Hace falta la extensión pgvector {needed} o posterior; en esta base hay: {found}.",
        "The extension pgvector {needed} or later is needed; this database has: {found}.",
        (
            "Instalala en el servidor (paquete postgresql-NN-pgvector, o activala en tu proveedor) y ejecutá, con un "
            "rol que pueda hacerlo: CREATE EXTENSION vector; o, si ya está: ALTER EXTENSION vector UPDATE;"
        ),
        (
            "Install it on the server (package postgresql-NN-pgvector, or enable it at your provider) and run, as a "
            "role that may: CREATE EXTENSION vector; or, if it is there already: ALTER EXTENSION vector UPDATE;"
        ),
    ),
    "RightsMissing": Texts(
        *_NO_RIGHT,
        "Pedile a quien administra la base que ejecute: {sql}",
        "Ask whoever administers the database to run: {sql}",
    ),
    "NotTheOwner": Texts(
        *_NO_RIGHT,
        (
            "Eso lo hace el dueño de las tablas de Ateneo: usá su DATABASE_URL (docs/security.md). Si la base se "
            "restauró, o alguien cambió sus permisos, que el dueño ejecute `ateneo db upgrade`."
        ),
        (
            "That is for the owner of Ateneo's tables: use its DATABASE_URL (docs/security.md). If the database was "
            "restored, or somebody changed its rights, have the owner run `ateneo db upgrade`."
        ),
    ),
    "NoLogin": Texts(
        *_NO_RIGHT,
        (
            "Usá en DATABASE_URL un usuario de Ateneo. Lo crea un administrador: BEGIN; CREATE ROLE ateneo_api LOGIN "
            "NOINHERIT; GRANT ateneo_app TO ateneo_api; COMMIT; y su clave, \\password ateneo_api. No le des "
            "ateneo_app a un rol de tu aplicación: sus consultas dejarían de ver las filas (docs/security.md)."
        ),
        (
            "Put a login of Ateneo's own into DATABASE_URL. An administrator makes it: BEGIN; CREATE ROLE ateneo_api "
            "LOGIN NOINHERIT; GRANT ateneo_app TO ateneo_api; COMMIT; and its password with \\password ateneo_api. "
            "Don't grant ateneo_app to a role of your application's: its queries would no longer see the rows "
            "(docs/security.md)."
        ),
    ),
    "NotUpgraded": Texts(
        "La base {where} todavía no tiene las tablas de Ateneo, o son de otra versión.",
        "The database {where} does not have Ateneo's tables yet, or they are of another version.",
        "Ejecutá `ateneo db upgrade` (con `--plan` dice antes qué hará).",
        "Run `ateneo db upgrade` (`--plan` says first what it will do).",
    ),
    "SchemaNewer": Texts(
        "Esta base ya la actualizó una versión posterior de Ateneo (esquema {found}; este programa trae el {own}).",
        "A later version of Ateneo upgraded this database (schema {found}; this program brings {own}).",
        "Actualizá este programa a la versión más nueva de las que usan la base; no cambié nada.",
        "Update this program to the latest version that uses the database; nothing was changed.",
    ),
    "MigrationChanged": Texts(
        "La migración {name} se aplicó en esta base con otro texto que el de este programa.",
        "The migration {name} was applied to this database with another text than this program's.",
        "Las migraciones no se modifican: instalá de nuevo Ateneo sin cambios. No cambié nada.",
        "Migrations are not changed: install Ateneo again, unmodified. Nothing was changed.",
    ),
    "TableBusy": Texts(
        "La tabla {table} sigue ocupada por {detail}. No cambié nada.",
        "The table {table} is still held by {detail}. Nothing was changed.",
        "Esperá a que termine esa transacción y repetí el comando; para verla: {sql}",
        "Wait until that transaction has ended and run the command again; to look at it: {sql}",
    ),
    "UninstallRefused": Texts(
        "No desinstalé nada: con el esquema de Ateneo se irían también {detail}.",
        "Nothing was uninstalled: with Ateneo's schema these would go, too: {detail}.",
        "Quitá o cambiá primero lo que usa objetos de Ateneo, y repetí `ateneo db uninstall`.",
        "Remove or change what uses Ateneo's objects first, then run `ateneo db uninstall` again.",
    ),
    "AdoptionRefused": Texts(
        "No puedo adoptar la tabla knowledge_chunks como está: {detail}. No cambié nada.",
        "I cannot adopt the table knowledge_chunks as it is: {detail}. Nothing was changed.",
        "{advice} {sql}",
        "{advice} {sql}",
    ),
    "ChunksTableGenerated": Texts(
        "Una columna de knowledge_chunks se genera de otra, y Ateneo no puede escribirla: {detail}",
        "A column of knowledge_chunks is generated from another, and Ateneo cannot write it: {detail}",
        "Ateneo busca en esa tabla; sus textos los escribe tu aplicación, en la columna de origen.",
        "Ateneo searches that table; its texts are written by your application, in the column they come from.",
    ),
    "ChunksTableRefused": Texts(
        "La tabla knowledge_chunks no aceptó los datos: {detail}",
        "The table knowledge_chunks did not accept the data: {detail}",
        "Si document_id apunta a una tabla tuya, creá antes esa fila y pasá su id como document_id.",
        "If document_id references a table of yours, create that row first and pass its id as document_id.",
    ),
    "ConstraintViolated": Texts(
        "Una tabla propia de Ateneo no aceptó un dato: {detail}",
        "A table of Ateneo's own did not accept a value: {detail}",
        "`ateneo doctor` revisa el índice, y `ateneo db upgrade` lo completa.",
        "`ateneo doctor` checks the index, and `ateneo db upgrade` completes it.",
    ),
    "MaintenanceRunning": Texts(
        "Ya hay un mantenimiento del índice en marcha en esta base.",
        "Maintenance of the index is under way already in this database.",
        "Esperá a que termine; `ateneo index status` muestra cómo está el índice.",
        "Wait until it has ended; `ateneo index status` shows how the index is.",
    ),
    "GenerationMismatch": Texts(
        "Los vectores guardados son de {stored}, pero la configuración pide {asked}: no se pueden comparar.",
        "The stored vectors are of {stored}, but the settings ask for {asked}: they cannot be compared.",
        "Volvé a ese modelo (ATENEO_EMBEDDING_PROVIDER), o pasá al otro sin cortes: `ateneo embeddings switch`.",
        "Go back to that model (ATENEO_EMBEDDING_PROVIDER), or change to the other: `ateneo embeddings switch`.",
    ),
    "ForeignVectors": Texts(
        "knowledge_chunks.embedding ya tiene vectores de {stored} dimensiones; el modelo configurado es {asked}.",
        "knowledge_chunks.embedding has vectors of {stored} dimensions already; the settings' model is {asked}.",
        (
            "Quedan como están. Configurá el modelo que los hizo (si es de OpenAI: OPENAI_API_KEY) y se usan sin "
            "pagarlos otra vez; solo si no los querés: `ateneo db forget-embeddings`."
        ),
        (
            "They stay. Set the model that made them (one of OpenAI's: OPENAI_API_KEY) and they are used without "
            "paying again; only if you do not want them: `ateneo db forget-embeddings`."
        ),
    ),
    "SwitchRefused": Texts("{detail}", "{detail}"),
    "BadArgument": Texts("{name}={value} no vale: {rule}.", "{name}={value} is not valid: {rule}."),
    "EmptyQuery": Texts(
        "La consulta está vacía.",
        "The query is empty.",
        'Escribí una pregunta, por ejemplo: ateneo search --empresa-id X "¿cuántos días de vacaciones hay?"',
        'Write a question, for example: ateneo search --empresa-id X "how many days of leave are there?"',
    ),
    "QueryTooLong": Texts(
        "La consulta tiene {length} caracteres y el máximo es {limit}.",
        "The query has {length} characters and the limit is {limit}.",
        "Resumila, o subí ATENEO_MAX_QUERY_CHARS.",
        "Shorten it, or raise ATENEO_MAX_QUERY_CHARS.",
    ),
    "AgentUnusable": Texts(
        "El agente «{agent_id}» no puede responder, porque su filtro no se entiende: {detail}",
        "The agent “{agent_id}” cannot answer, since its filter cannot be understood: {detail}",
        (
            "Corregí su filtro, por ejemplo: ateneo agents set {agent_id} --empresa-id {empresa_id} --filter "
            '\'{{"tipo": "manual"}}\' (o PUT /agents/{agent_id}).'
        ),
        (
            "Correct its filter, for example: ateneo agents set {agent_id} --empresa-id {empresa_id} --filter "
            '\'{{"tipo": "manual"}}\' (or PUT /agents/{agent_id}).'
        ),
    ),
    "ModelNotAllowed": Texts(
        "El agente «{agent_id}» nombra el modelo «{model}», y acá los agentes pueden usar: {allowed}.",
        "The agent “{agent_id}” names the model “{model}”, and agents may use these here: {allowed}.",
        (
            "Nombrá uno de esos, por ejemplo: ateneo agents set {agent_id} --empresa-id {empresa_id} --model {own} (o "
            "PUT /agents/{agent_id}). O quien opera Ateneo agrega el otro a ATENEO_CHAT_MODELS."
        ),
        (
            "Name one of those, for example: ateneo agents set {agent_id} --empresa-id {empresa_id} --model {own} (or "
            "PUT /agents/{agent_id}). Or whoever operates Ateneo adds the other to ATENEO_CHAT_MODELS."
        ),
    ),
    "OtherAgent": Texts(
        "La conversación «{conversation_id}» es del agente «{agent_id}», no de «{asked}».",
        "Conversation “{conversation_id}” is agent “{agent_id}”'s, not “{asked}”'s.",
        "Seguila con ese agente, o empezá otra.",
        "Go on with that agent, or begin another.",
    ),
    "DatasetInvalid": Texts(
        "{where} no sirve para evaluar: {detail}.",
        "{where} cannot be evaluated with: {detail}.",
        "El formato está en docs/how-to/evaluate.md.",
        "The format is described in docs/how-to/evaluate.md.",
    ),
    "Unknown": Texts("No existe {what}.", "There is no {what}."),
    "UnknownEmpresa": Texts(
        "No hay nada de la empresa «{empresa_id}» en esta base.",
        "There is nothing of the company “{empresa_id}” in this database.",
        "Revisá el empresa_id, o cargá sus documentos con `ateneo ingest --empresa-id {empresa_id} CARPETA`.",
        "Check the empresa_id, or load its documents with `ateneo ingest --empresa-id {empresa_id} FOLDER`.",
    ),
    "UnknownDocument": Texts("No existe el documento «{document_id}».", "There is no document “{document_id}”."),
    "UnknownJob": Texts(
        "No hay ninguna carga {job_id}.", "There is no job {job_id}.", "`ateneo jobs list`", "`ateneo jobs list`"
    ),
    "NoOriginal": Texts(
        "Del documento {document_id} no se guardó el archivo.",
        "Of the document {document_id} the file was not kept.",
        "Cargalo otra vez: el archivo queda guardado aunque no haya cambiado.",
        "Upload it again: the file is kept even if it has not changed.",
    ),
    "JobEnded": Texts(
        "La carga {job_id} está en el estado {state}: así no se puede.",
        "The job {job_id} is {state}: that cannot be done.",
        "Se cancela lo que no terminó, y se reintenta lo que falló.",
        "What has not ended can be cancelled, what failed can be tried again.",
    ),
    "JobCancelled": Texts("La carga de {name} fue cancelada.", "The job of {name} was cancelled."),
    "TooManyJobs": Texts(
        "Ya hay {jobs} en espera, y el límite es {limit}.",
        "{jobs} are waiting already, and the limit is {limit}.",
        "Esperá a que terminen (`GET /jobs`), cancelá las que sobren, o subí ATENEO_MAX_JOBS o ATENEO_MAX_JOBS_MB.",
        "Wait for them (`GET /jobs`), cancel what is not needed, or raise ATENEO_MAX_JOBS or ATENEO_MAX_JOBS_MB.",
    ),
    "SeveralDocuments": Texts(
        "Hay varios documentos que se llaman «{name}», y no sé cuál reemplazar: {ids}.",
        "There are several documents named “{name}”, and I do not know which to replace: {ids}.",
        "Decí cuál: document_id=ID, o PUT /documents/ID.",
        "Say which: document_id=ID, or PUT /documents/ID.",
    ),
    "UnknownApiKey": Texts("No existe la clave de API «{key_id}».", "There is no API key “{key_id}”."),
    "DocumentEmpty": Texts(
        "«{name}» no tiene texto: está vacío, o es una imagen escaneada.",
        "“{name}” has no text: it is empty, or a scanned image.",
        "Si es un escaneo, tiene que poder leerse a simple vista, y ATENEO_OCR estar en auto.",
        "If it is a scan, it must be legible to the eye, and ATENEO_OCR be auto.",
    ),
    "DocumentTooLarge": Texts(
        "«{name}» ocupa {size} y el máximo es {limit}.",
        "“{name}” takes {size} and the limit is {limit}.",
        "Dividilo, o subí ATENEO_MAX_UPLOAD_MB.",
        "Split it, or raise ATENEO_MAX_UPLOAD_MB.",
    ),
    "DocumentEncrypted": Texts(
        "«{name}» está protegido con contraseña.",
        "“{name}” is protected by a password.",
        "Guardá una copia sin contraseña y subí esa.",
        "Save a copy without the password and load that one.",
    ),
    "DocumentCorrupt": Texts(
        "«{name}» no se puede leer: {detail}",
        "“{name}” cannot be read: {detail}",
        "Abrilo en su programa, guardalo de nuevo y probá otra vez.",
        "Open it in its program, save it again and retry.",
    ),
    "DocumentUnsupported": Texts(
        "«{name}» es de un tipo que no sé leer ({mime}).",
        "“{name}” is of a kind that I cannot read ({mime}).",
        "Convertilo a PDF, DOCX, HTML, Markdown o texto.",
        "Convert it to PDF, DOCX, HTML, Markdown or text.",
    ),
    "DocumentTooSlow": Texts(
        "«{name}» no se puede leer: leerlo lleva más de {seconds} s.",
        "“{name}” cannot be read: reading it takes more than {seconds} s.",
        "Dividilo, o subí ATENEO_EXTRACT_TIMEOUT_S.",
        "Split it, or raise ATENEO_EXTRACT_TIMEOUT_S.",
    ),
    "ReaderUnavailable": Texts(
        "«{name}» no se pudo leer: no arranca el proceso que lee los archivos.",
        "“{name}” could not be read: the process that reads files does not start.",
        "Revisá la memoria libre y el límite de procesos de esta máquina, y probá otra vez.",
        "Check the free memory and the limit of processes of this machine, and retry.",
    ),
    "AccessDenied": Texts(
        "La clave de API falta, no existe, venció o fue revocada.",
        "The API key is missing, unknown, expired or revoked.",
        "Mandala como «Authorization: Bearer CLAVE»; se crea con `ateneo keys create --empresa-id X`.",
        "Send it as “Authorization: Bearer KEY”; `ateneo keys create --empresa-id X` makes one.",
    ),
    "OtherEmpresa": Texts(
        "El pedido nombra a una empresa que no es la de su clave de API.",
        "The request names a company that is not the one of its API key.",
        "Quitá empresa_id del pedido: la clave ya dice de quién es.",
        "Leave empresa_id out of the request: the key says whose it is.",
    ),
    "ScopeMissing": Texts(
        "La clave no tiene el permiso «{scope}», que hace falta para esto.",
        "The key lacks the scope “{scope}”, which this takes.",
        "Usá otra clave; `ateneo keys create --scope {scope}` crea una que lo tiene.",
        "Use another key; `ateneo keys create --scope {scope}` makes one that has it.",
    ),
    "RateLimited": Texts(
        "Demasiados pedidos con esta clave: {limit} por minuto como máximo.",
        "Too many requests with this key: {limit} a minute at most.",
        "Repetí en {retry_after} s, o subí ATENEO_REQUESTS_PER_MINUTE.",
        "Ask again in {retry_after} s, or raise ATENEO_REQUESTS_PER_MINUTE.",
    ),
    "KeyReused": Texts(
        "Esa Idempotency-Key ya vino con otro pedido.",
        "That Idempotency-Key came with another request before.",
        "Cada pedido lleva una propia; solo su repetición lleva la misma.",
        "Each request takes its own; only its repetition has the same.",
    ),
    "RequestRunning": Texts(
        "El primer pedido con esa Idempotency-Key se está respondiendo.",
        "The first request with that Idempotency-Key is still being answered.",
        "Repetilo en {retry_after} s: tendrá la misma respuesta.",
        "Repeat it in {retry_after} s: it gets the same answer.",
    ),
    "TooManyFailures": Texts(
        "Hubo demasiados intentos con claves que no valen.",
        "There were too many attempts with wrong keys.",
        "Revisá la clave; repetí en {retry_after} s.",
        "Check the key; try in {retry_after} s.",
    ),
    "ModelError": Texts(
        "El modelo local en {folder} no sirve: {detail}",
        "The local model in {folder} cannot be used: {detail}",
        "Hace falta una carpeta con model.onnx y tokenizer.json; docs/how-to/models.md dice cómo prepararla.",
        "It takes a folder with model.onnx and tokenizer.json; docs/how-to/models.md tells how to make one.",
    ),
    "HubError": Texts(
        "No pude instalar {name}: {detail}",
        "{name} could not be installed: {detail}",
        "docs/how-to/models.md dice cómo agregar un modelo, con red y sin ella.",
        "docs/how-to/models.md tells how to add a model, with a network and without.",
    ),
    "Unexpected": Texts(
        "Falla inesperada en {where} ({kind}).",
        "Unexpected failure in {where} ({kind}).",
        "El registro (stderr) dice por dónde pasó; con eso, por favor, informala. Lo hecho queda guardado.",
        "The log (stderr) says where it went through; please report it with that. What was done is kept.",
    ),
    "ProviderError": Texts("{provider} falló: {detail}", "{provider} failed: {detail}"),
    "ProviderRejected": Texts(
        "{provider} rechazó el pedido ({http_status}): {detail}",
        "{provider} rejected the request ({http_status}): {detail}",
        "Revisá la clave, el modelo y la dirección del proveedor; repetir no ayuda, así que me detuve.",
        "Check the provider's key, model and address; trying again cannot help, so I stopped.",
    ),
    "ProviderBusy": Texts(
        "{provider} está limitando los pedidos (429): {detail}",
        "{provider} is limiting requests (429): {detail}",
        "Esperá un momento y repetí; lo hecho queda guardado.",
        "Wait a moment and run it again; what was done is kept.",
    ),
    "ProviderUnavailable": Texts(
        "{provider} no responde: {detail}",
        "{provider} does not answer: {detail}",
        "Repetí más tarde; lo hecho queda guardado.",
        "Run it again later; what was done is kept.",
    ),
    "ProviderRefusedInput": Texts(
        "{provider} no aceptó un texto: {detail}", "{provider} did not accept a text: {detail}"
    ),
    "ProviderAnswerInvalid": Texts(
        "{provider} devolvió una respuesta que no sirve: {detail}",
        "{provider} returned an answer that cannot be used: {detail}",
        "No se guardó nada de ella.",
        "Nothing of it was stored.",
    ),
}
