"""``python -m bench.survey FILE``: the structure of a snapshot checked and its HashKV computed, by themselves."""

import sys
from pathlib import Path

from backstay.tiers.etcd.file.survey import survey

if __name__ == "__main__":
    found = survey(Path(sys.argv[1]))
    print(found.revision, found.hash_kv, found.keys)
