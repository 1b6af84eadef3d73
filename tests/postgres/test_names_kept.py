"""Names of what restores and drills keep: each belongs to one database, and no database of the user's is among them."""

from dataclasses import replace

import pytest

from backstay.core.model import NoProgress
from backstay.jobs import cleanup, drill
from backstay.tiers.postgres.swap import derived_name, leftovers
from tests.fixtures.world import database_on, directory_world

STAMP = "20261123-071502"
WORDS = ("before", "restore", "side", "drill")


def create(server, *names):
    with server.connect() as session:
        for name in names:
            session.execute(f'CREATE DATABASE "{name}"')


def databases(server, start):
    with server.connect() as session:
        found = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (start,)).fetchall()
    return {row[0] for row in found}


def kept(server, name):
    with server.connect() as session:
        return {one.name: one.kind for one in leftovers(session, name)}


@pytest.mark.parametrize("word", WORDS)
def test_a_name_that_fits_is_whole(word):
    assert derived_name("shop", word, STAMP) == f"shop__{word}_20261123_071502"
    longest = "a" * (63 - len(f"__{word}_20261123_071502"))
    assert derived_name(longest, word, STAMP) == f"{longest}__{word}_20261123_071502"


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("letter", ["a", "ü", "€", "🙂"])
def test_one_that_does_not_fit_is_cut_and_still_tells_databases_apart(word, letter):
    long = [letter * (52 // len(letter.encode())) + end for end in ("", "_eu", "_us", "_eu_copy")]
    names = [derived_name(name, word, STAMP) for name in long]
    assert len(set(names)) == len(long)
    for name in names:
        assert len(name.encode()) <= 63
        assert name.startswith(letter * 3)
        assert name.endswith(f"__{word}_20261123_071502")


def test_what_is_not_ours_is_neither_offered_nor_dropped(postgres18, fresh_database, tmp_path):
    """Names that a person may give: they begin like ours, and do not end like them."""
    name = fresh_database(postgres18).name
    theirs = {f"{name}__{rest}" for rest in ("before_launch", "side_effects", "restore", "drill_2026",
                                             "before_20261123_071502_copy", "before_20261123")}  # fmt: skip
    ours = {derived_name(name, word, STAMP): word for word in WORDS}
    create(postgres18, *theirs, *ours, other := f"{name}__more", derived_name(other, "before", STAMP))
    assert kept(postgres18, name) == ours
    world = directory_world(tmp_path, database_on(postgres18, name))
    plan = cleanup.plan(world.context, world.target(name))
    assert set(plan.details["remove"]) == set(ours)
    cleanup.run(world.context, plan, NoProgress())
    assert databases(postgres18, name) == {name, *theirs, other, derived_name(other, "before", STAMP)}


def test_long_names_that_begin_alike(postgres18, fresh_database, tmp_path):
    """What a restore keeps is found again, for that database alone."""
    short = fresh_database(postgres18).name.ljust(39, "a")
    names = [fresh_database(postgres18, name).name for name in (short, f"{short}_eu", f"{short}_us")]
    world = directory_world(tmp_path, *(database_on(postgres18, name) for name in names))
    aside = {name: world.restore(world.backup(name)).facts["kept"] for name in names}
    for name in names:
        assert kept(postgres18, name) == {aside[name]: "before"}
    with postgres18.connect() as session:
        for name in aside.values():
            session.execute(f'DROP DATABASE "{name}"')


def test_a_drill_on_a_given_server_leaves_what_it_did_not_make(postgres17, postgres18, fresh_database, tmp_path):
    made = fresh_database(postgres17)
    there = fresh_database(postgres18, made.name)
    theirs, killed = f"{made.name}__drill_results_2026", derived_name(made.name, "drill", STAMP)
    create(postgres18, theirs, killed)
    source = database_on(postgres17, made.name)
    world = directory_world(tmp_path, source)
    backup = world.backup(made.name)
    given = replace(database_on(postgres18, made.name), origin=source.connection)
    context = replace(world, databases={made.name: given}).context
    assert drill.run(context, drill.plan(context, backup), backup, NoProgress()).ok
    assert databases(postgres18, made.name) == {there.name, theirs}
