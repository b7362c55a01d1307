#!/usr/bin/env bash
# A real web server behind the fleet and a real load tool before it: nginx, three nodes with --upstream, and wrk, all on
# loopback. It prints what nginx alone serves, what it serves through a node whose limit nobody reaches, and what a limit
# of 500/s lets through when three nodes are asked for all they can. SECONDS_EACH (5) is how long each takes.
#
# nginx and wrk are Debian packages; as root they are installed where they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
each=${SECONDS_EACH:-5}
connections=${CONNECTIONS:-64}

missing=()
for tool in nginx wrk; do command -v "$tool" >/dev/null || missing+=("$tool"); done
if ((${#missing[@]})); then
	[[ $EUID == 0 ]] || { echo "want ${missing[*]}: apt-get install ${missing[*]}" >&2; exit 2; }
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1
	[[ " ${missing[*]} " != *" nginx "* ]] || service nginx stop >/dev/null 2>&1 || true
fi

dir=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo 19000; }
web=$(free_port)
mkdir -p "$dir/tmp"
cat >"$dir/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp; uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
	keepalive_requests 100000000;
	server { listen 127.0.0.1:$web; location / { return 200 "hello from nginx\n"; } }
}
CONF
nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null &
pids+=($!)

go build -trimpath -o "$dir/noria" ./cmd/noria

# The nodes wait for each other for 5 s: with wrk, nginx and all of them on two cores an answer may take longer than the
# usual 50 ms, and then a node answers from its share of the rate, beside the holder.
#
# fleet LIMIT starts three nodes before nginx and sets gateways to their addresses.
fleet() {
	base=$(( $(free_port) / 2 + 10000 ))
	"$dir/noria" fleet --nodes 3 --base-port "$base" --upstream "http://127.0.0.1:$web" --limit "$1" --key client.ip --peer-wait 5s >"$dir/fleet.log" 2>&1 &
	fleet_pid=$!
	pids+=("$fleet_pid")
	gateways=("127.0.0.1:$base" "127.0.0.1:$((base + 10))" "127.0.0.1:$((base + 20))")
	for gateway in "${gateways[@]}"; do
		for _ in $(seq 200); do curl -so /dev/null "http://$gateway/" && break; sleep 0.05; done
	done
}
unfleet() { kill "$fleet_pid" && wait "$fleet_pid" 2>/dev/null || true; }

load() { wrk -t2 -c"$connections" -d"${each}s" --latency "http://$1/"; }
figure() { awk -v name="$2" '
	/Requests\/sec/ { rate = $2 } / 50%/ { p50 = $2 } / 99%/ { p99 = $2 }
	END { printf "| %s | %s | %s | %s |\n", name, rate, p50, p99 }' "$1"; }

echo "| $connections connections, $each s | requests/s | p50 | p99 |"
echo "|---|---|---|---|"
load "127.0.0.1:$web" >"$dir/direct"
figure "$dir/direct" "nginx alone"

fleet "10000000/s burst 10000000"
load "${gateways[0]}" >"$dir/open"
figure "$dir/open" "nginx behind one of three nodes, limit never reached"
unfleet

fleet "500/s burst 500"
began=$(date +%s%N)
for i in 0 1 2; do load "${gateways[$i]}" >"$dir/limited$i" & loads[i]=$!; done
for i in 0 1 2; do wait "${loads[$i]}"; done
took=$(( ($(date +%s%N) - began) / 1000000 ))
awk -v ms="$took" '
	/requests in/ { all += $1 } /Non-2xx/ { denied += $NF }
	END {
		most = 500 + 500 * ms / 1000; least = 500 * '"$each"'
		printf "\nlimit 500/s burst 500, three nodes flooded at once for %.2f s: %d asked, %d allowed; the limit allows %d\n", ms / 1000, all, all - denied, most
		exit !(all - denied <= most && all - denied >= least * 0.98)
	}' "$dir"/limited?
