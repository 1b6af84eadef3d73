"""``python -m backstay``, and the ``backstay`` program."""

import sys

from backstay.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
