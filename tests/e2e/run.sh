#!/usr/bin/env bash
# End to end: what needs servers from Debian (built once into a cache), then the whole story as a user tells it:
# `make demo` in an empty folder, on embedded real servers, and nothing left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$(.venv/bin/python -m tests.cluster.node) # what a real node needs and this machine has not got
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get -qq update
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
.venv/bin/python -m tests.cluster.build kubernetes coredns podtool velero >/dev/null
.venv/bin/python -m pytest tests/e2e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
.venv/bin/backstay demo --folder "$folder/demo" "$@"
.venv/bin/backstay demo --cluster --folder "$folder/cluster"
for left in "$folder"/*; do
  [ ! -e "$left" ] || { echo "error: a demo left $left behind" >&2; exit 1; }
done
