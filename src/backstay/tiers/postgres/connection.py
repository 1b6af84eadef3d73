"""Reaching a server: by psycopg for questions, by environment for PostgreSQL's own programs.

Nothing about a connection is ever on a command line. A password goes to psycopg in memory and to programs by a
PGPASSFILE in anonymous memory; without one in the configuration libpq's own ways apply (~/.pgpass, PGPASSFILE, peer).
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backstay.cluster.proc import secret_file
from backstay.core.errors import SourceError

if TYPE_CHECKING:
    import psycopg

# A session that must outlive whatever the role or the server sets as limits; the second element is the first version
# that knows the setting.
SESSION = (
    ("statement_timeout", 0),
    ("idle_in_transaction_session_timeout", 0),
    ("idle_session_timeout", 140000),
    ("transaction_timeout", 170000),
)
# What a role or a database may have set, and would be in the way: the driver reads no other style of times, and a
# restore writes.
PLAIN = ("SET datestyle = ISO", "SET intervalstyle = postgres", "SET default_transaction_read_only = off")
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
PASSED_ON = (
    "PATH",
    "HOME",
    "PGPASSFILE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
)


@dataclass(frozen=True)
class Connection:
    """One server and the role to use on it. ``password`` is asked for each time, so that a rotated one is found."""

    host: str
    port: int
    user: str
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    connect_timeout: int = 10

    @property
    def where(self) -> str:
        """``postgres.cardboard:5432``."""
        return f"{self.host}:{self.port}"

    @contextlib.contextmanager
    def session(self, dbname: str, *, lock_timeout: float = 0) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
        """An autocommit session for the length of a block, with no limit on time but ``lock_timeout`` (seconds, 0 for
        none). Raises ``SourceError`` when it cannot be made, and in place of any error of the server's in the block.
        """
        import psycopg

        session = self._connect(dbname)
        try:
            with contextlib.closing(session):
                session.execute(f"SET lock_timeout = {int(lock_timeout * 1000)}")
                yield session
        except psycopg.Error as error:
            said = (str(error).strip().splitlines() or ["the connection was lost"])[0]
            message = f"database {dbname} at {self.where}: {said}"
            raise SourceError(message, hint=_hint(said), where=self.where, database=dbname) from error

    def _connect(self, dbname: str) -> "psycopg.Connection[tuple[Any, ...]]":
        import psycopg

        logging.getLogger("psycopg").addHandler(logging.NullHandler())  # its warnings quote rows; errors are raised
        parameters: dict[str, Any] = {
            **self._parameters(dbname),
            **KEEPALIVES,
            "application_name": "backstay",
            "client_encoding": "utf8",
        }
        if password := self.password():
            parameters["password"] = password
        try:
            session = psycopg.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            raise self._refused(dbname, str(error)) from error
        try:
            for name, since in SESSION:
                if session.info.server_version >= since:
                    session.execute(f"SET {name} = 0")
            for statement in PLAIN:
                session.execute(statement)
        except psycopg.Error as error:
            session.close()
            raise self._refused(dbname, str(error)) from error
        return session

    @contextlib.contextmanager
    def environment(self, dbname: str, **more: str) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
        """What a program of PostgreSQL's needs to connect: its environment, and descriptors to pass to it."""
        names = {
            "host": "PGHOST",
            "port": "PGPORT",
            "user": "PGUSER",
            "dbname": "PGDATABASE",
            "sslmode": "PGSSLMODE",
            "sslrootcert": "PGSSLROOTCERT",
            "connect_timeout": "PGCONNECT_TIMEOUT",
        }
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        env |= {names[key]: str(value) for key, value in self._parameters(dbname).items()}
        env |= {"PGAPPNAME": "backstay", "LC_ALL": "C", **more}
        password = self.password()
        if not password:
            yield env, ()
            return
        with secret_file(f"*:*:*:*:{_escape(password)}\n") as (path, handle):
            yield {**env, "PGPASSFILE": path}, (handle,)

    def _parameters(self, dbname: str) -> Mapping[str, Any]:
        known = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": dbname,
            "sslmode": self.sslmode,
            "connect_timeout": self.connect_timeout,
        }
        return known | ({"sslrootcert": self.sslrootcert} if self.sslrootcert else {})

    def _refused(self, dbname: str, said: str) -> SourceError:
        told = [line for line in said.splitlines() if line.strip() and not line.startswith("\t")]
        reason = told[-1].rpartition("failed: ")[2].removeprefix("FATAL:").strip() if told else "no reason given"
        message = f"cannot connect to database {dbname} at {self.where} as {self.user}: {reason}"
        return SourceError(message, hint=_hint(reason), where=self.where, database=dbname)


def _hint(reason: str) -> str:
    """The next step for what libpq or the server said when it refused."""
    steps = {
        "lock timeout": "Another session holds a table exclusively; look in pg_locks, or raise postgres.lock_timeout.",
        "password": "Check `password` of this database in backstay.yaml: the secret it points to, and the role `user`.",
        "does not exist": "Check `database` and `user` in backstay.yaml; `psql -l` lists what the server has.",
        "refused": "Is the server running, and are `host` and `port` right? Nothing was written.",
        "resolve": "The name of the host is not known here; outside the cluster set `host` to an address that is.",
        "timeout": "No answer: a firewall, a NetworkPolicy, or the wrong `host`. Nothing was written.",
        "certificate": "Set `sslrootcert` to the CA of the server. Verification is not switched off for you.",
        "starting up": "The server is starting; try again shortly.",
        "shutting down": "The server is being stopped; try again when it is back.",
        "too many": "The server has no free connection; raise max_connections or run at a quieter time.",
    }
    return next((step for word, step in steps.items() if word in reason), "Nothing was written.")


def _escape(password: str) -> str:
    """As a PGPASSFILE wants it: backslash before colon and backslash (PostgreSQL documentation, The Password File)."""
    return password.replace("\\", "\\\\").replace(":", "\\:")
