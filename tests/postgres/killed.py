"""As ``tests.jobs.killed``, with the same arguments, for a restore that journals each table as soon as it is loaded,
and shares those that are cut among its workers."""

import sys

from backstay.tiers.postgres.board import Board
from backstay.tiers.postgres.directory import load
from tests.jobs.killed import main

if __name__ == "__main__":
    load.JOURNAL_SECONDS = 0.0
    Board.idle = lambda _board: 2
    main(*sys.argv[1:])
