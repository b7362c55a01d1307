#!/usr/bin/env bash
# secrets.sh [-l LABEL] [-d DNS-NAME]... DIR NODE... makes all that the nodes of a fleet want where other machines can
# reach them. It needs openssl. What is in DIR already stays, so that it can be run again for more nodes.
#
#   DIR/ca.pem                   who signs the nodes' certificates
#   DIR/NODE.pem, DIR/NODE.key   a certificate for each node, and its key
#   DIR/gossip.keys              the key that encrypts gossip
#   DIR/api.tokens, admin.tokens who may ask the API, and who looks after the fleet: lines of a name and a token
#   DIR/api.token, admin.token   the tokens alone
#   DIR/private/ca.key           stays with you: whoever has it can make nodes
#
# For Kubernetes: secrets.sh secrets noria-0 noria-1 noria-2 && kubectl create secret generic noria --from-file=secrets
set -euo pipefail

usage() {
	sed -n '2,3s/^# //p' "$0" >&2
	exit 2
}

label=noria
names=DNS:localhost,IP:127.0.0.1
while getopts l:d: flag; do
	case $flag in
	l) label=$OPTARG ;;
	d) names=$names,DNS:$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[[ $# -ge 2 ]] || usage
dir=$1
shift
command -v openssl >/dev/null || { echo "openssl is missing: install it first" >&2; exit 1; }

# Nobody else may enter the folder. The files themselves can be read by whoever they are mounted for.
mkdir -p "$dir/private"
chmod 0700 "$dir" "$dir/private"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

if [[ ! -e $dir/private/ca.key ]]; then
	new_key "$dir/private/ca.key"
	openssl req -x509 -new -sha256 -days 3650 -key "$dir/private/ca.key" -out "$dir/ca.pem" -subj "/CN=Noria $label" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
fi
for node in "$@"; do
	[[ $node =~ ^[A-Za-z0-9._-]+$ ]] || { echo "node $node: want letters, digits, dots, dashes and underscores" >&2; exit 2; }
	[[ ! -e $dir/$node.pem ]] || continue
	new_key "$dir/$node.key"
	openssl req -new -sha256 -key "$dir/$node.key" -subj "/CN=$node" |
		openssl x509 -req -sha256 -days 825 -CA "$dir/ca.pem" -CAkey "$dir/private/ca.key" -CAcreateserial -CAserial "$dir/private/ca.srl" -out "$dir/$node.pem" \
			-extfile <(printf 'subjectAltName=URI:spiffe://noria/%s/node/%s,DNS:%s,%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n' "$label" "$node" "$node" "$names") 2>/dev/null
done
[[ -e $dir/gossip.keys ]] || openssl rand -base64 32 >"$dir/gossip.keys"
for port in api admin; do
	[[ -e $dir/$port.token ]] || openssl rand -hex 24 | tr -d '\n' >"$dir/$port.token"
	[[ -e $dir/$port.tokens ]] || printf 'fleet %s\n' "$(<"$dir/$port.token")" >"$dir/$port.tokens"
done
chmod 0644 "$dir"/*.pem "$dir"/*.key "$dir"/*.keys "$dir"/*.token "$dir"/*.tokens
chmod 0600 "$dir"/private/*
echo "secrets of $* are in $dir; keep $dir/private to yourself"
