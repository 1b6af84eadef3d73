"""How a database is made again: as statements, for what the servers of these tests were not built with."""

import pytest

from backstay.tiers.postgres.roles import create_database

LIBC = {"owner": "o", "encoding": "UTF8", "collate": "C", "ctype": "C", "locale_provider": "libc", "locale": None}
ICU = {**LIBC, "locale_provider": "icu", "locale": "en", "icu_rules": None}
MADE = """CREATE DATABASE "d" TEMPLATE template0 OWNER "o" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"""


@pytest.mark.parametrize(
    ("recorded", "ends"),
    [
        (LIBC, " LOCALE_PROVIDER libc"),
        (ICU, " LOCALE_PROVIDER icu ICU_LOCALE 'en'"),
        ({**ICU, "icu_rules": "&a < g"}, " LOCALE_PROVIDER icu ICU_LOCALE 'en' ICU_RULES '&a < g'"),
    ],
    ids=["libc", "icu", "icu-rules"],
)
def test_it_sorts_as_it_did(recorded, ends):
    assert create_database(recorded, "d", 180006).as_string(None) == MADE + ends
