"""How often status asks a store: by what there is to know, not by how many backups there are."""

from collections import Counter
from contextlib import closing

from backstay.catalog import keys, manifest
from backstay.catalog.cache import ManifestCache
from backstay.catalog.catalog import Catalog
from backstay.catalog.catalogs import Catalogs
from backstay.core.model import Level, Target, TierKind
from backstay.core.retention import KeepPolicy
from backstay.core.units import format_stamp
from backstay.report.status import build
from backstay.store.wrap.metered import Metered
from tests.catalog.fakes import NOW, make_backup
from tests.fixtures.stocked import DAY, Stocked, settings

TARGETS = [Target(TierKind.POSTGRES, f"db{number:02}") for number in range(20)]
HISTORY = 500  # days: 20 targets and 10,000 manifests
WINDOW = 31  # days whose manifests are read


def stock() -> Stocked:
    stocked = Stocked([settings(target, keep=KeepPolicy()) for target in TARGETS])
    stocked.catalog().ensure_format()
    three = NOW.replace(hour=3, minute=0, second=0)
    for target in TARGETS:
        for age in range(HISTORY):
            backup = make_backup(target, format_stamp(three - age * DAY))
            stocked.store.objects[keys.manifest_key(target, backup.stamp)] = manifest.encode(backup)
        stocked.prove(make_backup(target, format_stamp(three)), Level.RESTORED, at=NOW)
    return stocked


def requests(stocked, context) -> Counter:
    stocked.store.requests.clear()
    report = build(context, now=NOW)
    assert report.headline == "homelab: all 20 targets proven."
    assert {one.strip for one in report.targets} == {"#" * 30}
    return Counter((verb, key.removeprefix(keys.ROOT).partition("/")[0]) for verb, key in stocked.store.requests)


def test_of_ten_thousand_manifests_those_of_a_month_are_read_once(tmp_path):
    stocked = stock()
    with closing(ManifestCache(tmp_path, "memory://tests/")) as cache:
        context = cached(stocked, cache)
        cold, warm = requests(stocked, context), requests(stocked, context)
    once = {
        ("get", "format.json"): 1,
        ("list", "backups"): 1,
        ("list", "drills"): 1,
        ("list", "failures"): 1,
        ("list", "retired"): 1,
        ("list", "restores"): 1,
    }
    assert cold == {**once, ("get", "backups"): WINDOW * len(TARGETS), ("get", "drills"): len(TARGETS)}
    assert warm == once


def test_a_meter_counts_the_same():
    stocked = stock()
    meter = Metered(stocked.store)
    context = Stocked(stocked.targets, {"main": meter}, stocked.clock).context
    build(context, now=NOW)
    used = meter.usage
    assert (used.lists, used.heads, used.puts, used.deletes) == (5, 0, 0, 0)
    assert used.gets == 1 + (WINDOW + 1) * len(TARGETS)


def test_a_target_that_is_late_for_months_costs_its_newest_and_its_lease():
    stocked = stock()
    for key in list(stocked.store.objects):
        if (
            key.startswith(keys.target_prefix(keys.BACKUPS, TARGETS[0]))
            and keys.parse_record(keys.BACKUPS, key)[1] > "20260101"
        ):
            del stocked.store.objects[key]
    stocked.store.requests.clear()
    late = build(stocked.context, now=NOW).targets[0]
    assert late.last_good.stamp == "20251231-030000"
    asked = [key for _, key in stocked.store.requests if "db00" in key and not key.startswith(keys.DRILLS)]
    assert sorted(asked) == sorted(
        [
            keys.target_prefix(keys.BACKUPS, TARGETS[0]),
            keys.manifest_key(TARGETS[0], "20251231-030000"),
            keys.target_prefix(keys.BACKUPS, TARGETS[0]),  # the first there is: what came before is not missed
            keys.lease_key(TARGETS[0]),
        ]
    )


def cached(stocked: Stocked, cache: ManifestCache):
    catalog: Catalog = stocked.catalog(cache=cache)
    context = stocked.context
    return type(context)(**{**vars(context), "catalogs": Catalogs({"main": catalog}, {}, "main")})
