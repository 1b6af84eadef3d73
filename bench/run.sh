#!/usr/bin/env bash
# Set up the rival (the AWS command line, in an environment of its own) and run the benchmarks that are named, or all.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v zip >/dev/null || { echo "needs zip (on Debian: apt-get install zip)" >&2; exit 1; }
rival=.venv-bench
if [ ! "$rival/.ready" -nt bench/requirements.lock ]; then
  echo "setting up $rival (once)"
  rm -rf "$rival"
  .venv/bin/python -m venv "$rival"
  "$rival/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r bench/requirements.lock
  touch "$rival/.ready"
fi
exec .venv/bin/python -m bench "$@"
