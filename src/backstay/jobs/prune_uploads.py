"""Uploads that killed runs began and never finished: no list of objects shows them, and each part of them costs money.

Only those of keys that a target's own artifacts have, and of Backstay's own folder, are looked at: other programs keep
theirs in the same bucket (docs/prune.md, "What else goes").
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from backstay.catalog import keys
from backstay.core.errors import StoreError
from backstay.core.model import Finding, Severity
from backstay.jobs.context import Context
from backstay.jobs.prune_plan import TargetPlan, Uploads
from backstay.store.base import Store
from backstay.store.wrap import sweep, unfinished

UPLOAD_AGE = timedelta(days=1)  # older than any run that may still go on


def with_uploads(context: Context, plans: Iterable[TargetPlan]) -> Iterator[TargetPlan]:
    """Each plan with its unfinished uploads; those below ``backstay/v1/`` are with the first target of their store.

    Where a store does not show them, the first plan of it gets a warning: the rest of the prune needs no such right.
    """
    seen: set[str] = set()
    silent: set[str] = set()
    for plan in plans:
        if plan.blocked is not None or plan.store in silent:
            yield plan
            continue
        prefixes = [context.of(plan.target).key("", ""), *([] if plan.store in seen else [keys.ROOT])]
        seen.add(plan.store)
        try:
            yield replace(plan, uploads=_find(context.catalogs.named(plan.store).store, plan, prefixes))
        except StoreError as error:
            silent.add(plan.store)
            told = Finding(Severity.WARNING, f"unfinished uploads were not looked for: {error.message}", error.code)
            yield replace(plan, findings=(*plan.findings, told))


def drop_uploads(store: Store, uploads: Uploads) -> int:
    """Remove them; returns how many were still there."""
    return sweep(store, uploads.before, uploads.prefix)


def _find(store: Store, plan: TargetPlan, prefixes: Iterable[str]) -> tuple[Uploads, ...]:
    before = plan.made_at - UPLOAD_AGE
    found = (Uploads(prefix, before, unfinished(store, before, prefix)) for prefix in prefixes)
    return tuple(one for one in found if one.count)
