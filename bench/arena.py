"""Where everything runs: one PostgreSQL and one SeaweedFS in a folder of their own, and who asks them how.

The servers are as they come: PostgreSQL with the settings of initdb (fsync, full-page writes, checksums, autovacuum),
SeaweedFS with those of the demo. Scripts and Backstay have the same server, bucket service and credentials.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from psycopg import sql

from backstay.demo.compare import Fingerprint, fingerprint
from backstay.demo.world import World
from backstay.store.s3 import S3Options, S3Store, create_bucket
from bench import databases, measure
from bench.targets import LEDGER, SHOP, SMALL, TARGETS, configuration

SCRIPT_BUCKET, BACKSTAY_BUCKET = "bench-script", "bench-backstay"
PATIENCE_SECONDS = 180.0  # for others who use the machine, in all
AT_ONCE_SECONDS = 30.0  # of it before one run


class Arena:
    """The servers of one run, and commands against them. A context manager: leaving it removes all of it."""

    def __init__(self, folder: Path, rival: Path, runs: int, say: Callable[[str], None]) -> None:
        self.runs = runs
        self.say = say
        self._world = World(folder)
        self._rival = rival
        self._patience = PATIENCE_SECONDS

    @property
    def folder(self) -> Path:
        """Where everything is kept."""
        return self._world.folder

    @cached_property
    def database(self) -> str:
        """The name of the shop's database, which is built when it is first asked for."""
        self.say("building a database of about 800 MB of SQL text")
        databases.build(self._world.postgres, SHOP, databases.SHOP)
        return SHOP

    @cached_property
    def ledger(self) -> str:
        """The name of the database with one big table, which is built when it is first asked for."""
        self.say("building a database of about 400 MB with one big table")
        databases.build(self._world.postgres, LEDGER, databases.LEDGER)
        return LEDGER

    @cached_property
    def small_database(self) -> str:
        """The name of a database with one table of 1,000 rows, made when it is first asked for."""
        self.create_database(SMALL)
        with self._world.postgres.connect(SMALL) as connection:
            connection.execute("CREATE TABLE few AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1000) n")
        return SMALL

    def create_database(self, name: str) -> None:
        """An empty one, as a script would make it."""
        with self._world.postgres.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Remove one, if it is there."""
        with self._world.postgres.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def analyze(self, name: str) -> None:
        """What a restore needs at its end, so that queries are planned as before."""
        with self._world.postgres.connect(name) as connection:
            connection.execute("ANALYZE")

    def logged_bytes(self) -> int:
        """How much write-ahead log the server has ever written."""
        with self._world.postgres.connect() as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        return int(row[0]) if row else 0

    def size_bytes(self, name: str) -> int:
        """What a database takes on the server's disk."""
        with self._world.postgres.connect() as connection:
            row = connection.execute("SELECT pg_database_size(%s)", (name,)).fetchone()
        return int(row[0]) if row else 0

    def run(self, *commands: Sequence[str], env: Mapping[str, str]) -> measure.Run:
        """Measure one pipeline, after a checkpoint and once the machine is quiet. Raises ``ToolError``."""
        return self.steps([commands], env)

    def steps(self, pipelines: Sequence[Sequence[Sequence[str]]], env: Mapping[str, str]) -> measure.Run:
        """Measure pipelines that follow each other at once, as ``a | b && c``, as one. Raises ``ToolError``."""
        with self._world.postgres.connect() as connection:
            connection.execute("CHECKPOINT")
        self._patience -= measure.wait_until_quiet(self.say, min(AT_ONCE_SECONDS, self._patience))
        servers = {"PostgreSQL": self._world.postgres.pid or 0, "SeaweedFS": self._world.s3.pid or 0}
        return measure.joined([measure.run(commands, env, servers) for commands in pipelines])

    def postgres(self, program: str, *arguments: str) -> list[str]:
        """A client program of PostgreSQL's, as a script calls it; the password is in the environment."""
        server = self._world.postgres
        return [program, "-h", server.host, "-p", str(server.port), "-U", server.superuser, *arguments]

    def aws(self, *arguments: str) -> list[str]:
        """The AWS command line."""
        return ["aws", "--endpoint-url", self._world.s3.endpoint_url, *arguments]

    @staticmethod
    def backstay(*arguments: str) -> list[str]:
        """Backstay's own command line."""
        return [sys.executable, "-m", "backstay", *arguments]

    @property
    def script_environment(self) -> dict[str, str]:
        """For the scripts: programs on PATH, secrets in variables, no settings of this user."""
        server = self._world.postgres
        path = ":".join([str(self._rival / "bin"), str(server.bin_dir), self._world.environment().get("PATH", "")])
        alone = {"AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
        return {**self.environment, **self._keys, **alone, "PATH": path, "PGPASSWORD": server.password}

    @property
    def environment(self) -> dict[str, str]:
        """For Backstay: where its configuration is, and its folders; compiled modules are kept, as anywhere."""
        return {name: value for name, value in self._world.environment().items() if name != "PYTHONDONTWRITEBYTECODE"}

    def ask(self, *arguments: str) -> Any:
        """What a command of Backstay's says in JSON. Raises ``CalledProcessError``."""
        command = self.backstay(*arguments)
        return json.loads(subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, check=True).stdout)

    def fingerprint(self, name: str) -> Fingerprint:
        """Every row and definition of a database."""
        with self._world.postgres.connect(name) as connection:
            return fingerprint(connection)

    @property
    def s3_endpoint(self) -> str:
        """Where SeaweedFS answers."""
        return self._world.s3.endpoint_url

    @contextmanager
    def bucket(self, name: str) -> Iterator[S3Store]:
        """A bucket, made if it was not there."""
        s3 = self._world.s3
        options = S3Options(
            bucket=name,
            endpoint_url=s3.endpoint_url,
            access_key_id=s3.access_key,
            secret_access_key=s3.secret_key,
        )
        create_bucket(options)
        with closing(S3Store(options)) as store:
            yield store

    def configure(self, path: Path, bucket: str, targets: Mapping[str, str]) -> None:
        """Write a ``backstay.yaml`` for these targets, backed up into this bucket."""
        server = self._world.postgres
        text = configuration(
            targets,
            bucket=bucket,
            endpoint=self._world.s3.endpoint_url,
            credentials=self.credentials,
            host=server.host,
            port=server.port,
            user=server.superuser,
            password_file=server.password_file,
            bin=server.bin_dir,
        )
        path.write_text(text)

    def versions(self) -> dict[str, str]:
        """Of everything that was measured."""
        weed = Path(sys.executable).parent / "weed"
        asked = {
            "aws": [str(self._rival / "bin" / "aws"), "--version"],
            "gzip": ["gzip", "--version"],
            "SeaweedFS": [str(weed), "version"],
        }
        said = {name: _first_line(command) for name, command in asked.items()}
        return {"PostgreSQL": self._world.postgres.version, "Python": sys.version.split()[0], **said}

    def __enter__(self) -> Self:
        self._world.claim()
        try:
            self._world.start()
            for name in (SCRIPT_BUCKET, BACKSTAY_BUCKET):
                with self.bucket(name):
                    pass
            self.credentials.touch(mode=0o600)
            self.credentials.write_text("".join(f"{name}={value}\n" for name, value in self._keys.items()))
            self.configure(self._world.config, BACKSTAY_BUCKET, TARGETS)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def credentials(self) -> Path:
        """The file with the keys of SeaweedFS."""
        return self.folder / "s3-credentials"

    @property
    def _keys(self) -> dict[str, str]:
        s3 = self._world.s3
        return {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}

    def _remove(self) -> None:
        self._world.stop()
        self._world.remove()


def _first_line(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split("\n", 1)[0].strip()
