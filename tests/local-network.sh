#!/usr/bin/env bash
# A network of real nodes on this machine.
#
#   local-network.sh run    NODES daemons under run/; stays until Ctrl-C, then stops them all. The next run goes on with
#                           their network; FRESH=1 begins a new one, and says what it removes
#   local-network.sh demo   a new network under run/demo; wipes a node, sees it refill, and ends
#
# Exits 0 only if every byte that was stored came back equal. Needs the release programs (make build).
set -euo pipefail

mode=${1:-demo}
nodes=${NODES:-3}
fresh=${FRESH:-}
large_mib=${LARGE_MIB:-40}
wait_s=15
cd "$(dirname "$0")/.."

case $mode in
    run) folder=run ;;
    demo) folder=run/demo ;;
    *) echo "usage: $0 run|demo" >&2; exit 2 ;;
esac
case $nodes in
    '' | *[!0-9]* | 0*) echo "NODES=$nodes is not a number of nodes" >&2; exit 2 ;;
esac

target=${CARGO_TARGET_DIR:-target}/release
case $target in /*) ;; *) target=$PWD/$target ;; esac
dfsd=$target/dfsd
dfs=$target/dfs
for program in "$dfsd" "$dfs"; do
    [ -x "$program" ] || { echo "$program is missing: make build" >&2; exit 1; }
done
# The network is made here, so nothing of another one may reach it.
for variable in $(compgen -e DFSD_ || true); do unset "$variable"; done
# Nor is it remembered in the home of whoever tries it.
export XDG_STATE_HOME=$PWD/$folder/state

pids=()

say() { printf '\n== %s\n' "$*"; }

# Shows a command, then runs it.
show() {
    local shown=$*
    printf '$ %s\n' "${shown//"$target/"/}"
    "$@"
}

fail() {
    echo "FAILED: $*" >&2
    for log in "$folder"/*.log; do
        [ -f "$log" ] || continue
        echo "--- the end of $log" >&2
        tail -n 8 "$log" >&2
    done
    exit 1
}

stop_node() {
    local pid=${pids[$1]:-}
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pids[$1]=
}

stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
    done
    pids=()
}

# try_node NUMBER LISTEN [OPTION...]: ends when the node is ready; 1 if it has ended instead.
try_node() {
    local number=$1 listen=$2 data=$folder/node$1 log=$folder/node$1.log deadline=$((SECONDS + wait_s)) before
    shift 2
    touch "$log"
    before=$(wc -c <"$log")
    # A group of its own: Ctrl-C is for this script, which then stops the nodes in order.
    set -m
    "$dfsd" --data "$data" --listen "$listen" "$@" >>"$log" 2>&1 </dev/null &
    pids[number]=$!
    set +m
    until tail -c +$((before + 1)) "$log" | grep -q "^dfsd: node .* listens on "; do
        kill -0 "${pids[number]}" 2>/dev/null || { pids[number]=; return 1; }
        [ "$SECONDS" -lt "$deadline" ] || fail "node $number was not ready within $wait_s s"
        sleep 0.05
    done
    echo "node $number listens on $(cat "$data/address"), data in $data"
}

# start_node NUMBER LISTEN [OPTION...]: the same of one that must not end.
start_node() {
    try_node "$@" || fail "node $1 ended at its start"
}

# go_on_with NUMBER: a node of the last run, where it was then; elsewhere if somebody else listens there now.
go_on_with() {
    local listen
    listen=$(cat "$folder/node$1/address" 2>/dev/null || echo 127.0.0.1:0)
    try_node "$1" "$listen" && return
    tail -n 1 "$folder/node$1.log" | grep -q "cannot listen" || fail "node $1 ended at its start"
    start_node "$1" 127.0.0.1:0
}

# remove PATH...: what there is of these, which it says.
remove() {
    local path
    for path in "$@"; do
        [ -e "$path" ] || continue
        echo "removing $path"
        rm -rf "$path"
    done
}

# How many others a node is connected to.
connected() {
    local lines
    lines=$("$dfs" --data "$folder/node$1" peers --json 2>/dev/null || true)
    grep -Ec '"connected": ?true' <<<"$lines" || true
}

wait_connected() {
    local deadline=$((SECONDS + wait_s)) number
    for ((number = 1; number <= nodes; number++)); do
        until [ "$(connected "$number")" -ge $((nodes - 1)) ]; do
            [ "$SECONDS" -lt "$deadline" ] ||
                fail "node $number was not connected to all others within $wait_s s"
            sleep 0.1
        done
    done
    echo "all $nodes nodes are connected"
}

# get_equal NUMBER NAME FILE: the named file, read from that node, is the same as FILE.
get_equal() {
    local back=$folder/back
    rm -f "$back"
    show "$dfs" --data "$folder/node$1" get "$2" "$back" || fail "node $1 did not give $2"
    cmp "$3" "$back" || fail "node $1 gave other bytes for $2"
    rm -f "$back"
    echo "equal"
}

# What lies in a folder but the keys and the addresses of the others.
wipe() {
    find "$1" -mindepth 1 -maxdepth 1 ! -name '*.key' ! -name peers -exec rm -rf {} +
}

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# What a run makes, and whoever has pasted its hints.
made=("$folder"/node[0-9]* "$folder"/extra "$folder"/ticket "$folder"/large "$folder"/small "$folder"/back "$folder"/code "$folder"/state)
mkdir -p "$folder"
if [ "$mode" = demo ] || [ -n "$fresh" ]; then
    remove "${made[@]}"
fi
kept=
if [ -e "$folder/node1/network.key" ]; then
    kept=yes
elif compgen -G "$folder/node[0-9]*/network.key" >/dev/null; then
    echo "$folder/node1 holds no node, but others of its network are there: make run FRESH=1 begins a new one" >&2
    exit 1
fi

if [ -n "$kept" ]; then
    say "$nodes nodes, the network of the last run (make run FRESH=1 begins a new one)"
    go_on_with 1
else
    say "$nodes nodes"
    start_node 1 127.0.0.1:0 --create
fi
# One that names the addresses of this run.
rm -f "$folder/ticket"
"$dfs" --data "$folder/node1" ticket --out "$folder/ticket" || fail "node 1 made no ticket"
for ((number = 2; number <= nodes; number++)); do
    if [ -e "$folder/node$number/network.key" ]; then
        go_on_with "$number"
    else
        start_node "$number" 127.0.0.1:0 --join "$folder/ticket"
    fi
done
wait_connected

if [ -z "$kept" ]; then
    say "Store on node 1"
    head -c $((large_mib * 1024 * 1024 + 12345)) /dev/urandom >"$folder/large"
    echo "a small file, sealed before it leaves the client" >"$folder/small"
    show "$dfs" --data "$folder/node1" put "$folder/large" demo/large || fail "put of the large file"
    show "$dfs" --data "$folder/node1" put "$folder/small" demo/small || fail "put of the small file"

    say "Read from node $nodes"
    get_equal "$nodes" demo/large "$folder/large"
    get_equal "$nodes" demo/small "$folder/small"
fi

if [ "$mode" = demo ]; then
    say "Wipe node $nodes, and read again"
    address=$(cat "$folder/node$nodes/address")
    stop_node "$nodes"
    if [ "$nodes" -gt 1 ]; then wipe "$folder/node$nodes"; fi
    start_node "$nodes" "$address"
    wait_connected
    get_equal "$nodes" demo/large "$folder/large"
    get_equal "$nodes" demo/small "$folder/small"
fi

say "Status of node 1"
show "$dfs" --data "$folder/node1" status || fail "status"

if [ "$mode" = demo ]; then
    say "Stop"
    stop_all
    rm -rf "$folder"
    echo "demo: all bytes came back equal"
    exit 0
fi

# As it can be pasted, whatever is in it.
here=$(printf %q "$PWD")
below=$here/$folder
say "The network runs. In another terminal, try:"
cat <<END

  cd $here
  export PATH=$(printf %q "$target"):\$PATH DFSD_DATA=$below/node1
  dfs put README.md
  dfs ls -l
  dfs stat README.md
  dfs --data $below/node$nodes cat README.md
  dfs put -r src code && dfs get -r code $below/code
  dfs rm README.md
  dfs peers
  dfs status

Join a further node, here or on another machine that reaches these addresses (the ticket holds keys):

  dfsd --data $below/extra --listen 127.0.0.1:0 --join $below/ticket

Logs are in $below/node*.log. Ctrl-C stops every node; the next make run goes on with them.
END
while :; do
    sleep 1 &
    wait $! || true
    for ((number = 1; number <= nodes; number++)); do
        kill -0 "${pids[number]}" 2>/dev/null || fail "node $number ended"
    done
done
