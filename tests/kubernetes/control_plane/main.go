// Kubernetes' own store, API server and controllers in one program, for tests: control_plane PROGRAM OPTIONS...
//
// Nothing of Kubernetes' is published as a program where Go's modules are, so it is built from them: go build .
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) > 1 {
		os.Args = os.Args[1:]
		switch os.Args[0] {
		case "etcd":
			etcdmain.Main(os.Args)
			return
		case "kube-apiserver":
			os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
		case "kube-controller-manager":
			os.Exit(cli.Run(manager.NewControllerManagerCommand()))
		}
	}
	fmt.Fprintln(os.Stderr, "usage: control_plane etcd|kube-apiserver|kube-controller-manager OPTIONS...")
	os.Exit(2)
}
