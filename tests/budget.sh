#!/usr/bin/env bash
# What the program may cost whoever installs it: the size of the daemon, and how many crates it stands on.
# Needs the release programs (make build).
set -euo pipefail

dfsd_bytes_max=$((3300 * 1000))
crates_max=110
cd "$(dirname "$0")/.."

dfsd=${CARGO_TARGET_DIR:-target}/release/dfsd
bytes=$(stat -c %s "$dfsd")
crates=$(cargo tree --locked --edges normal --prefix none --format '{p}' | sed 's/ (\*)$//' | sort -u | wc -l)
echo "dfsd: $bytes of $dfsd_bytes_max bytes, $crates of $crates_max crates"

[ "$bytes" -le "$dfsd_bytes_max" ] || { echo "dfsd is too large" >&2; exit 1; }
[ "$crates" -le "$crates_max" ] || { echo "dfsd needs too many crates" >&2; exit 1; }
