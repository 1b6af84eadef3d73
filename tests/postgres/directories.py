"""What tests of the format ``directory`` share: tables that are cut, and the steps of RESTORE.md typed by a shell."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from psycopg import sql

from backstay.demo.compare import fingerprint
from backstay.tiers.postgres.directory import segments

STEP = re.compile(r"\d+\. (?P<what>[^:(]+): (?P<command>.+)")
COMMANDS = (
    "Fetch",
    "Go there",
    "Decrypt",
    "Join",
    "Decompress",
    "Unpack the large objects",
    "Roles and the empty database",
)
COMMANDS += ("Load", "Then")
AGE = """#!{python}
import sys, pyrage
_, decrypt, flag, key, *rest = sys.argv
assert (decrypt, flag) == ("-d", "-i"), sys.argv
lines = open(key).read().split()
identities = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-SECRET-KEY-")]
out = open(rest[1], "wb") if rest[0] == "-o" else sys.stdout.buffer
out.write(pyrage.decrypt(open(rest[-1], "rb").read(), identities))
"""
ZSTD = """#!{python}
import sys, os
from backports import zstd
flag, remove, *files = sys.argv[1:]
assert (flag, remove) == ("-d", "--rm") or flag == "-dc", sys.argv
for file in files if flag == "-d" else sys.argv[2:]:
    data = zstd.decompress(open(file, "rb").read())
    if flag == "-dc":
        sys.stdout.buffer.write(data)
    else:
        open(file.removesuffix(".zst"), "wb").write(data)
        os.unlink(file)
"""


@pytest.fixture
def small_parts(monkeypatch):
    """Tables of some 100 kB are cut."""
    monkeypatch.setattr(segments, "SMALLEST_BYTES", 64 << 10)


def fill(session, table="cut", rows=4000):
    """A table of some 2 MB, with TOAST in it."""
    session.execute(f"CREATE TABLE {table} (i integer PRIMARY KEY, t text, long text)")
    session.execute(
        f"INSERT INTO {table} SELECT i, repeat(md5(i::text), 10), CASE i % 500 WHEN 0 THEN (SELECT string_agg("
        f"md5((i * j)::text), '') FROM generate_series(1, 500) j) END FROM generate_series(1, {rows}) i"
    )


def parts_of(backup, table):
    """The artifacts of a table's rows."""
    file = backup.contents["tables"][table]["file"]
    return [artifact for artifact in backup.artifacts if artifact.role.partition(".part")[0] == file]


def print_of(server, name):
    """The fingerprint of a database."""
    with server.connect(name) as session:
        return fingerprint(session)


def contents_of(print_):
    """Of a fingerprint, what does not depend on the version of the server."""
    return {**print_.tables}, {**print_.views}


@contextmanager
def dropped_after(server, *names):
    """Databases that a test makes without a fixture."""
    try:
        yield
    finally:
        with server.connect() as session:
            for name in names:
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def guide_steps(text):
    """The commands of RESTORE.md in their order, as ``(what, command)``."""
    found = [match.group("what", "command") for line in text.splitlines() if (match := STEP.fullmatch(line))]
    return [(what, command) for what, command in found if what in COMMANDS]


class Shell:
    """Types the steps of a RESTORE.md, against one server, with its programs."""

    def __init__(self, server, folder, bin_dir=None):
        self.server = server
        self.folder = folder
        programs = folder / "programs"
        programs.mkdir(parents=True)
        for name, text in (("age", AGE), ("zstd", ZSTD)):
            if shutil.which(name) is None:
                (programs / name).write_text(text.format(python=sys.executable))
                (programs / name).chmod(0o755)
        self._env = {
            "PATH": f"{bin_dir or server.bin_dir}:{programs}:{os.environ['PATH']}",
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": server.superuser,
            "PGPASSWORD": server.password,
            "LC_ALL": "C.UTF-8",
        }

    def run(self, command, cwd):
        """One line; returns what it printed. Fails unless it ended with 0."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", command], cwd=cwd, env=self._env, capture_output=True, timeout=120
        )
        assert done.returncode == 0, (command, done.stderr.decode(errors="replace"))
        return done.stdout + done.stderr

    def follow(self, text, fetched=None, key=""):
        """All steps; where ``fetched`` is a folder that was fetched already, that one is left out. ``key`` is the text
        of the key file to put there. Returns the words before each step."""
        steps = guide_steps(text)
        typed = [what for what, _ in steps]
        assert typed[:2] == ["Fetch", "Go there"]
        assert typed[-2:] == ["Load", "Then"]
        (_, fetch), (_, go), *steps = steps
        if fetched is None:
            self.run(fetch, self.folder)
            fetched = self.folder / go.removeprefix("cd ")
        if key:
            (fetched / "key.txt").write_text(key)
        for _, command in steps:
            self.run(command, fetched)
        return typed
