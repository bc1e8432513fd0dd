// Apiserver holds a real Kubernetes API server and kubectl in one binary, built from their published modules, so that what
// envgate writes for Kubernetes is tried on the real thing without a container engine. The server needs etcd beside it
// (Debian's etcd-server). There is no controller manager and no kubelet: objects are admitted, validated, stored and
// patched; no container runs. deploy/cluster builds and starts it. A module of its own keeps all this out of envgate's.
//
//	apiserver serve …      the API server, with kube-apiserver's own flags
//	apiserver kubectl …    kubectl
package main

import (
	"fmt"
	"os"
	_ "time/tzdata"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "kubectl" {
		fmt.Fprintln(os.Stderr, "usage: apiserver serve|kubectl …")
		os.Exit(2)
	}
	what := os.Args[1]
	os.Args = append([]string{what}, os.Args[2:]...)
	if what == "kubectl" {
		os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
	}
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
