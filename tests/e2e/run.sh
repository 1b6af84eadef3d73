#!/usr/bin/env bash
# End to end: what needs servers from Debian (built once into a cache), then the whole story as a user tells it:
# `make demo` in an empty folder, on embedded real servers, and nothing left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
.venv/bin/python -m pytest tests/e2e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
.venv/bin/backstay demo --folder "$folder/demo" "$@"
if [ -e "$folder/demo" ]; then
  echo "error: the demo left $folder/demo behind" >&2
  exit 1
fi
