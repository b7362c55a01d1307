#!/usr/bin/env bash
# release.sh [DIR] builds what a release consists of into DIR, dist by default: an archive for each platform, what each
# binary is made of (CycloneDX), and the checksums of all. "make release" runs it. The same commit gives the same bytes,
# whoever builds it with the same Go. Environment:
#
#   VERSION, COMMIT, DATE   what the binaries say of themselves; the Makefile asks git
#   PLATFORMS               "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64" by default
#   SOURCE_DATE_EPOCH       the time of all files, in seconds; DATE by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
dist=${1:-dist}
go=${GO:-go}
: "${VERSION:?want the version, such as v1.2.3}"
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false
epoch=${SOURCE_DATE_EPOCH:-$(date -u -d "${DATE:-@0}" +%s 2>/dev/null || date -u -j -f %Y-%m-%dT%H:%M:%SZ "$DATE" +%s)}

rm -rf "$dist"
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stamps="-s -w -X main.stampVersion=$VERSION -X main.stampCommit=${COMMIT:-} -X main.stampDate=${DATE:-}"

$go build -C cmd/noria/deploy/check -o "$work/sbom" ./sbom

# The completions are the same on all platforms.
mkdir "$work/completions"
$go build -trimpath -ldflags "$stamps" -o "$work/own" ./cmd/noria
for shell in bash zsh fish; do
	"$work/own" completion "$shell" >"$work/completions/noria.$shell"
done

for platform in ${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}; do
	name=noria_${VERSION#v}_${platform%/*}_${platform#*/}
	echo "building $name"
	mkdir "$work/$name"
	GOOS=${platform%/*} GOARCH=${platform#*/} $go build -trimpath -ldflags "$stamps" -o "$work/$name/noria" ./cmd/noria
	cp -R LICENSE README.md CHANGELOG.md "$work/completions" "$work/$name"
	cp cmd/noria/deploy/systemd/noria.service cmd/noria/deploy/systemd/noria.sysusers "$work/$name"
	find "$work/$name" -exec touch -h -d "@$epoch" {} +
	tar -C "$work" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --mode=u+rwX,go+rX,go-w -cf - "$name" | gzip -n -9 >"$dist/$name.tar.gz"
	"$work/sbom" -version "$VERSION" -date "${DATE:-}" "$work/$name/noria" >"$dist/$name.cdx.json"
done
(cd "$dist" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
(cd "$dist" && sha256sum --quiet -c SHA256SUMS)
ls -l "$dist"
