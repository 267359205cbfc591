#!/usr/bin/env bash
# Which lines of the core the tests run, by room, and those that none runs. Any argument is a filter for the tests.
# Counts lines with code as LLVM does, unit tests apart. Needs llvm-profdata and llvm-cov of rustc's LLVM version.
set -euo pipefail
cd "$(dirname "$0")/.."

rooms="wire conn store server crypto"
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

tool() {
    for path in "/usr/lib/llvm-$version/bin/$1" "$(command -v "$1-$version" || true)"; do
        [ -x "$path" ] && echo "$path" && return
    done
    echo "coverage: there is no $1 of LLVM $version here (Debian: llvm-$version)" >&2
    exit "${DFSD_COVERAGE_MISSING:-1}"
}
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Only this crate is measured, so that its dependencies need not be built again. At the same place every time, or cargo
# would build everything anew.
wrapper=${CARGO_TARGET_DIR:-$PWD/target}/coverage-rustc
mkdir -p "${wrapper%/*}"
printf '#!/bin/sh\nexec "$@" -Cinstrument-coverage -Cdebuginfo=0\n' > "$wrapper"
chmod +x "$wrapper"
export RUSTC_WORKSPACE_WRAPPER=$wrapper LLVM_PROFILE_FILE="$work/%8m.profraw"

cargo test --locked --lib --test integration --no-run --message-format=json > "$work/built"
sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/built" | sort -u > "$work/programs"
objects=()
while read -r program; do
    objects+=(-object "$program")
    # The others are what the tests start.
    case $program in
    */deps/*)
        "$program" "$@" > "$work/log" 2>&1 < /dev/null ||
            { grep -E "^test .*FAILED" "$work/log" >&2; echo "coverage: some tests failed" >&2; }
        ;;
    esac
done < "$work/programs"

"$profdata" merge -sparse "$work"/*.profraw -o "$work/all.profdata"
"$cov" export -format=lcov -instr-profile="$work/all.profdata" "${objects[@]}" > "$work/lcov" 2> /dev/null

awk -F: -v root="$PWD/src/" -v rooms="$rooms" '
    function flush_range() {
        if (from) printf "    src/%s:%s\n", file, (from == to ? from : from "-" to)
        from = 0
    }
    # The line at which the unit tests of a file begin.
    function tests_of(path,    line, at, marked) {
        at = 0
        while ((getline line < path) > 0) {
            at++
            if (marked && line ~ /^mod tests? \{/) { close(path); return at }
            marked = (line == "#[cfg(test)]")
        }
        close(path)
        return at + 1
    }
    BEGIN { count = split(rooms, names, " "); for (i in names) is_room[names[i]] = 1 }
    /^SF:/ {
        path = substr($0, 4); room = ""
        if (index(path, root) != 1) next
        file = substr(path, length(root) + 1)
        room = file; sub(/[\/.].*/, "", room)
        if (!(room in is_room) || file ~ /(^|\/)tests(\/|\.rs)/) { room = ""; next }
        end = tests_of(path)
    }
    /^DA:/ && room != "" {
        split($2, pair, ",")
        if (pair[1] >= end) next
        lines[room]++
        if (pair[2] > 0) { hit[room]++; flush_range(); next }
        if (!from) from = pair[1]
        to = pair[1]
    }
    /^end_of_record/ { if (room != "") flush_range(); room = "" }
    END {
        printf "\n%-8s %7s %7s %7s\n", "room", "lines", "run", "%"
        for (i = 1; i <= count; i++) {
            name = names[i]
            printf "%-8s %7d %7d %7.2f\n", name, lines[name], hit[name], 100 * hit[name] / lines[name]
            all += lines[name]; ran += hit[name]
        }
        printf "%-8s %7d %7d %7.2f\n", "core", all, ran, 100 * ran / all
    }' "$work/lcov"
