#!/usr/bin/env bash
# What the join of a fourth node costs three that hold a million keys: how long until it has its share, and what checks of
# other keys take before, meanwhile and after. All on loopback; KEYS, RATE (checks a second) and MOVE_RATE (bytes a second,
# of each node) may be set.
set -euo pipefail
cd "$(dirname "$0")/../.."
keys=${KEYS:-1000000} rate=${RATE:-500}
[[ -z ${MOVE_RATE:-} ]] || export NORIA_CLUSTER_MOVE_RATE=$MOVE_RATE
make build >/dev/null

dir=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT

# start starts node $1; who has a second argument joins there. Its log tells its ports.
start() {
	bin/noria serve --name "$1" --gossip :0 --peer :0 --api :0 --grpc :0 --admin :0 ${2:+--join "$2"} 2>"$dir/$1.log" &
	pids+=($!)
	for _ in $(seq 600); do
		! grep -q '"msg":"ready"' "$dir/$1.log" || return 0
		sleep 0.05
	done
	cat "$dir/$1.log" >&2
	exit 1
}
port() { grep -m1 '"msg":"ready"' "$dir/$1.log" | sed "s/.*\"$2\":\"\([^\"]*\)\".*/\1/"; }
held() { curl -s "http://$(port "$1" admin)/status" | sed -n 's/.*"keys": \([0-9]*\).*/\1/p'; }

start a
start b "$(port a gossip)"
start c "$(port a gossip)"
targets=("$(port a grpc)" "$(port b grpc)" "$(port c grpc)")

# Each bucket lacks 100 of 1000 tokens at least, which takes six minutes to refill: until then it is not forgotten.
bin/noria bench "${targets[@]}" --keys "$keys" --requests $((keys * 4 / 100)) --batch 100 --limit 1000/h --cost 100 --output json >/dev/null 2>&1
sleep 3
echo "keys on a, b, c: $(held a) $(held b) $(held c)"

measure() {
	bin/noria bench "${targets[@]}" --prefix other: --keys 1000 --rate "$rate" --limit 1000/s --duration "$2" --output json 2>/dev/null |
		sed "s/.*\"degraded\":\([0-9]*\),\"errors\":\([0-9]*\).*\"p50\":\([0-9.]*\).*\"p99\":\([0-9.]*\).*/$1: p50 \3 us, p99 \4 us, degraded \1, failed \2/"
}
measure "before" 5s
measure "during" 5s >"$dir/during" &
during=$!
sleep 1
began=$(date +%s%N)
start d "$(port a gossip)"
echo "d has its share after $((($(date +%s%N) - began) / 1000000)) ms"
wait "$during"
cat "$dir/during"
measure "after" 5s
echo "keys on a, b, c, d: $(held a) $(held b) $(held c) $(held d)"
