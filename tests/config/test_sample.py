"""The starter file loads as it is, with everything set, and has every key."""

import re
from pathlib import Path

from backstay.config import schema
from backstay.config.load import parse
from backstay.config.sample import sample

COMMENTED_KEY = re.compile(r"^( *)#(?=\S)", re.MULTILINE)


def everything_set():
    head, _, rest = sample().partition("\n")
    return head + "\n" + COMMENTED_KEY.sub(r"\1", rest)


def test_it_loads_as_it_is():
    config = parse(sample(), Path("backstay.yaml"), {}).config
    (database,) = config.postgres_databases().values()
    assert (config.cluster, config.stores["main"].url) == ("homelab", "s3://my-backups")
    assert (database.name, database.schedule, database.keep.days) == ("app", "0 3 * * *", 7)
    assert config.unacted() == []


def test_it_takes_what_is_known_already():
    text = sample(cluster="home", store_url="file:///srv/my backups", database="no", schema_url="https://x.example/s")
    config = parse(text, Path("backstay.yaml"), {}).config
    assert text.startswith("# yaml-language-server: $schema=https://x.example/s\n")
    assert (config.cluster, config.stores["main"].path) == ("home", "/srv/my backups")
    assert list(config.postgres_databases()) == ["no"]


def test_every_key_can_be_set_by_taking_one_character_away():
    config = parse(everything_set(), Path("backstay.yaml"), {}).config
    assert len(config.unacted()) == 6
    assert config.stores["main"].sse == "aws:kms"
    assert config.stores["main"].object_lock.days == 7
    assert config.etcd.model_fields_set == set(type(config.etcd).model_fields)


def test_every_key_of_the_models_is_there():
    set_keys = set(re.findall(r"([a-z_]+): ?", everything_set()))
    assert _keys(schema.json_schema()) - set_keys <= {"expire_after_days", *schema.keys(("etcd", "keep"))}


def test_lines_are_short_enough_to_read():
    assert max(map(len, sample().splitlines())) <= 120


def _keys(node):
    found = set()
    for key, inner, _ in schema.fields(node):
        found |= {key} | _keys(schema.named(inner) or inner)
    return found
