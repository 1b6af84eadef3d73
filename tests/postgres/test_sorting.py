"""The memory that indexes are built with: little for what is sorted, what everything has for the rest."""

import re
from dataclasses import MISSING, fields

import pytest

from backstay.tiers.postgres.directory.sorting import LEAST_BYTES, MOST_BYTES, RUN_BUFFER_BYTES, sort_memory
from backstay.tiers.postgres.directory.toc import Entry
from tests.fixtures.world import database_on, directory_world
from tests.postgres.directories import dropped_after

PLAIN = "CREATE INDEX one ON public.t USING btree (a);\n"
UNIQUE = "CREATE UNIQUE INDEX one ON public.t USING btree (a) WITH (fillfactor='90') WHERE (a > 0);\n"
KEY = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT one PRIMARY KEY (id);\n"
ONCE = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT one UNIQUE NULLS NOT DISTINCT (a);\n"


def entry(defn):
    desc = "INDEX" if " INDEX " in defn else "CONSTRAINT"
    nothing = dict.fromkeys(field.name for field in fields(Entry) if field.default is MISSING)
    return Entry(**nothing | {"desc": desc, "defn": defn})


@pytest.mark.parametrize("defn", [PLAIN, UNIQUE, KEY, ONCE])
def test_a_sort_has_little(defn):
    assert sort_memory([entry(defn)], 800 << 20) == f"{LEAST_BYTES >> 10}kB"


@pytest.mark.parametrize(
    "defn",
    [
        "CREATE INDEX one ON public.t USING gin (a);\n",
        "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT one EXCLUDE USING gist (a WITH &&);\n",
        "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT one PRIMARY KEY (id, at WITHOUT OVERLAPS);\n",
    ],
)
def test_what_is_not_sorted_has_all(defn):
    assert sort_memory([entry(defn)], 800 << 20) is None
    assert sort_memory([entry(KEY), entry(defn)], 800 << 20) is None


def test_all_runs_of_a_sort_are_merged_at_once():
    for size in (1 << 20, 1 << 30, 3 << 30, 50 << 30, 200 << 30):
        memory = int(sort_memory([entry(PLAIN)], size).removesuffix("kB")) << 10
        runs, buffers = size / memory, memory / RUN_BUFFER_BYTES
        assert LEAST_BYTES <= memory <= MOST_BYTES
        assert runs <= buffers * 1.01
    assert sort_memory([entry(PLAIN)], 1 << 50) == f"{MOST_BYTES >> 10}kB"


def test_a_restore_builds_with_it(postgres18, fresh_database, tmp_path):
    fresh = fresh_database(postgres18)
    with fresh.connect() as session:
        session.execute("CREATE TABLE big AS SELECT n AS id, ARRAY[n] AS list, repeat(md5(n::text), 20) AS text "
                        "FROM generate_series(1, 30000) n")  # fmt: skip
        session.execute("ALTER TABLE big ADD PRIMARY KEY (id)")
        session.execute("CREATE INDEX big_text ON big (text); CREATE INDEX big_list ON big USING gin (list)")
    folder, seen = tmp_path / "bin", tmp_path / "seen"
    folder.mkdir()
    seen.mkdir()
    for program in ("psql", "pg_dump"):
        (folder / program).symlink_to(postgres18.bin_dir / program)
    real = postgres18.bin_dir / "pg_restore"
    tell = f'for word; do case "$word" in --use-list=*) cat "${{word#*=}}"; echo "$PGOPTIONS";; esac; done > {seen}/$$'
    (folder / "pg_restore").write_text(f'#!/bin/sh\n{tell}\nexec {real} "$@"\n')
    (folder / "pg_restore").chmod(0o755)
    world = directory_world(tmp_path, database_on(postgres18, fresh.name, bin=folder))
    made = world.backup(fresh.name)
    with dropped_after(postgres18, f"{fresh.name}_copy"):
        world.restore(made, to=f"{fresh.name}_copy")
    told = [text for one in seen.iterdir() if (text := one.read_text())]  # a file of each program: several run at once
    memories = [re.findall(r"maintenance_work_mem=(\w+)", text)[-1] for text in told]
    assert memories.count("16384kB") == 2
    assert memories.count("256MB") == len(told) - 2 >= 2
