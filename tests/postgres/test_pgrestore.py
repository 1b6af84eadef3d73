"""What pg_restore says where it was told to go on, read for whether anything but a setting was refused."""

import pytest

from backstay.tiers.postgres.directory.pgrestore import only_unknown_settings

REFUSED = 'could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"'
COMMAND = "Command was: SET transaction_timeout = 0;"
ENDED = "pg_restore: warning: errors ignored on restore: 2"
APART = [f"pg_restore: error: {REFUSED}", COMMAND] * 2
# As two jobs wrote them into one pipe at the same time, piece by piece.
INTERLEAVED = ["pg_restore: error: pg_restore: error: " + REFUSED, REFUSED, COMMAND, COMMAND]


@pytest.mark.parametrize("said", [APART, INTERLEAVED], ids=["apart", "interleaved"])
def test_a_setting_an_older_server_does_not_know_is_no_loss(said):
    assert only_unknown_settings([*said, ENDED])


@pytest.mark.parametrize(
    "said",
    [
        [],
        APART,
        [*APART, "pg_restore: error: could not open file", ENDED],
        [
            *APART,
            "pg_restore: error: could not execute query: ERROR:  out of memory",
            "Command was: CREATE INDEX a;",
            ENDED,
        ],
        [*APART, f"pg_restore: error: {REFUSED}", "Command was: ALTER TABLE a SET (b = 1);", ENDED],
        [*APART * 100, ENDED],
    ],
    ids=[
        "silent",
        "no end",
        "another error",
        "a statement failed",
        "an option of a table",
        "too much to have all of it",
    ],
)
def test_anything_else_is_an_error(said):
    assert not only_unknown_settings(said)
