// Package check looks at what Noria is deployed with as far as that goes without a cluster: its tests decode all manifests
// strictly, render the Helm chart, and look whether what they name is there. It is a module of its own, because Helm and
// Kubernetes are much to fetch for who wants neither.
package check
