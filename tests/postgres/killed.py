"""As ``tests.jobs.killed``, with the same arguments, for a restore that journals each table as soon as it is loaded."""

import sys

from backstay.tiers.postgres.directory import load
from tests.jobs.killed import main

if __name__ == "__main__":
    load.JOURNAL_SECONDS = 0.0
    main(*sys.argv[1:])
