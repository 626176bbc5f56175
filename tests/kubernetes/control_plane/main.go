// What runs a cluster, without its nodes, in one program, for tests: control_plane PROGRAM OPTIONS...
//
// It has Kubernetes' store, API server and controllers, and Argo CD's controllers with a store in memory. None of them is
// published as a program where Go's modules are, so they are built from these: go build .
package main

import (
	"fmt"
	"os"

	"github.com/alicebob/miniredis/v2"
	applications "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	sets "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	repositories "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
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
		case "redis":
			os.Exit(store())
		case "argocd-repo-server":
			os.Exit(cli.Run(repositories.NewCommand()))
		case "argocd-application-controller":
			os.Exit(cli.Run(applications.NewCommand()))
		case "argocd-applicationset-controller":
			os.Exit(cli.Run(sets.NewCommand()))
		}
	}
	fmt.Fprintln(os.Stderr, "usage: control_plane etcd|kube-apiserver|kube-controller-manager|"+
		"redis|argocd-repo-server|argocd-application-controller|argocd-applicationset-controller OPTIONS...")
	os.Exit(2)
}

// store keeps what Redis would keep, at the address that its first argument is, until it is killed.
func store() int {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: control_plane redis HOST:PORT")
		return 2
	}
	if err := miniredis.NewMiniRedis().StartAddr(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
}
