// Package manifests reads the files that only a library of the field understands in full, strictly, and then runs what they say with real
// processes: the Dockerfile, compose.yaml, and what Kustomize makes of examples/kubernetes. There is no Docker and no Kubernetes here, so a
// container is a process with its variables, in an empty root where that matters.
//
// It is a module of its own: these libraries are large, and Anabranch needs none of them.
package manifests
