// Package examples runs what lies in examples/ and scripts/: programs against regions, the configuration of a whole site in network namespaces,
// units and scripts by the tools that know them. What only a library of the field can read (compose, Kubernetes, Dockerfile) is in
// tests/manifests.
package examples
