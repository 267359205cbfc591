#!/usr/bin/env bash
# Which lines of the core the tests run, by room, and those that none runs. Any argument is a filter for the tests.
# Counts lines with code as LLVM does; unit tests, and what runs only with a seeded bug are apart.
# Needs llvm-profdata and llvm-cov of rustc's LLVM version. Ends with 1 if a test fails, after the table all the same.
set -euo pipefail
cd "$(dirname "$0")/.."

rooms="kernels crypto wire conn store index server"
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

tool() {
    for path in "$(rustc --print target-libdir)/../bin/$1" "/usr/lib/llvm-$version/bin/$1" "$(command -v "$1-$version" || true)"; do
        [ -x "$path" ] && echo "$path" && return
    done
    echo "coverage: there is no $1 of LLVM $version here: rustup component add llvm-tools (Debian: llvm-$version)" >&2
    exit "${DFSD_COVERAGE_MISSING:-1}"
}
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Only this crate is measured, so that its dependencies need not be built again. At the same place every time, or cargo
# would build everything anew. No plain sh: dash takes CARGO_BIN_EXE_dfs-load out of the environment.
wrapper=${CARGO_TARGET_DIR:-$PWD/target}/coverage-rustc
mkdir -p "${wrapper%/*}"
printf '#!/usr/bin/env bash\nexec "$@" -Cinstrument-coverage -Cdebuginfo=0\n' > "$wrapper"
chmod +x "$wrapper"
export RUSTC_WORKSPACE_WRAPPER=$wrapper LLVM_PROFILE_FILE="$work/%8m.profraw"

cargo test --locked --features seeded-bugs --workspace --lib --test integration --no-run \
    --message-format=json-render-diagnostics > "$work/built"
sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/built" | sort -u > "$work/programs"
objects=()
failed=0
while read -r program; do
    objects+=(-object "$program")
    # The others are what the tests start.
    case $program in
    */deps/*)
        "$program" "$@" --skip seeded:: > "$work/log" 2>&1 < /dev/null || {
            grep -E -A2 "^test .*FAILED|panicked at" "$work/log" >&2 || tail "$work/log" >&2
            echo "coverage: some tests failed" >&2
            failed=1
        }
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
    # The lines of a file that are not the program: what is marked for tests, and what a seeded bug alone runs.
    function read_source(path,    line, at, indent, end, marked) {
        delete apart
        end = ""
        while ((getline line < path) > 0) {
            at++
            match(line, /^ */)
            indent = substr(line, 1, RLENGTH)
            if (end != "") {
                apart[at]
                if (line == end) end = ""
            } else if (line ~ /^ *#\[cfg\(test\)\]$/) {
                marked = 1
            } else if (marked) {
                marked = 0
                if (line ~ /\{$/) { apart[at]; end = indent "}" }
            } else if (line ~ /^ *if seeded::is_on\(.*\{$/ && line !~ /\|\|/) {
                end = indent "}"
            }
        }
        close(path)
    }
    BEGIN { count = split(rooms, names, " "); for (i in names) is_room[names[i]] = 1 }
    /^SF:/ {
        path = substr($0, 4); room = ""
        if (index(path, root) != 1) next
        file = substr(path, length(root) + 1)
        room = file; sub(/[\/.].*/, "", room)
        if (!(room in is_room) || file ~ /(^|\/)tests(\/|\.rs)/) { room = ""; next }
        read_source(path)
    }
    /^DA:/ && room != "" {
        split($2, pair, ",")
        if (pair[1] in apart) next
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
exit "$failed"
