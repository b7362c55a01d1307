// The command sbom writes what a Go binary is made of, as CycloneDX has it in JSON: every module with its version and
// checksum, and the version of Go, as the binary itself says. The same binary gives the same bytes.
//
//	go run ./sbom -version v1.2.3 -date 2026-01-02T03:04:05Z BINARY
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	version := flag.String("version", "", "`VERSION` of the binary")
	date := flag.String("date", "", "`TIME` of the release, as RFC 3339 has it")
	flag.Parse()
	if flag.NArg() != 1 || *version == "" {
		fmt.Fprintln(os.Stderr, "usage: sbom -version VERSION [-date TIME] BINARY")
		os.Exit(2)
	}
	info, err := buildinfo.ReadFile(flag.Arg(0))
	if err == nil {
		err = write(os.Stdout, info, *version, *date)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// write writes what info says.
func write(w io.Writer, info *debug.BuildInfo, version, date string) error {
	root := component(cdx.ComponentTypeApplication, info.Main.Path, version, "")
	root.Licenses = &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" {
			set(&root, strings.ToLower(s.Key), s.Value)
		}
	}
	std := component(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(info.GoVersion, "go"), "")
	parts := []cdx.Component{std}
	on := []string{std.BOMRef}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component(cdx.ComponentTypeLibrary, m.Path, m.Version, m.Sum)
		parts, on = append(parts, c), append(on, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: date, Component: &root}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &on}}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

// component returns one part. sum is that of go.sum, "" for none.
func component(kind cdx.ComponentType, path, version, sum string) cdx.Component {
	purl := "pkg:golang/" + strings.ReplaceAll(url.PathEscape(path), "%2F", "/") + "@" + url.PathEscape(version)
	c := cdx.Component{BOMRef: purl, Type: kind, Name: path, Version: version, PackageURL: purl}
	if sum != "" {
		set(&c, "h1", sum)
	}
	return c
}

// set adds a property to c.
func set(c *cdx.Component, name, value string) {
	if c.Properties == nil {
		c.Properties = &[]cdx.Property{}
	}
	*c.Properties = append(*c.Properties, cdx.Property{Name: "noria:go:" + name, Value: value})
}
