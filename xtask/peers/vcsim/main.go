// Command vcsim serves govmomi's simulator, the reference peer of the
// interoperability suite.
//
// The upstream command of the same name lives in a Go module of its own that
// is not published, so "go install" cannot install it. Everything that
// handles requests here is upstream's, at the version pinned in peers.lock;
// this file only maps flags to its model, with upstream's flag names.
// It uses only what the Debian package golang-github-vmware-govmomi-dev also has.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "vcsim:", err)
		os.Exit(1)
	}
}

func serve() error {
	esx := flag.Bool("esx", false, "serve an ESX host instead of a vCenter")
	listen := flag.String("l", "127.0.0.1:8989", "address to listen on; port 0 takes a free one")
	machines := flag.Int("vm", -1, "virtual machines per resource pool; negative keeps the model's number")
	datastores := flag.Int("ds", -1, "datastores; negative keeps the model's number")
	autostart := flag.Bool("autostart", true, "power the virtual machines on")
	username := flag.String("username", "", "the only user who may log in; empty lets anyone in")
	password := flag.String("password", "", "the password of -username")
	stdinExit := flag.Bool("stdinexit", false, "stop when standard input closes, so that no server outlives its starter")
	flag.Parse()

	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	}
	if *machines >= 0 {
		model.Machine = *machines
	}
	if *datastores >= 0 {
		model.Datastore = *datastores
	}
	model.Autostart = *autostart
	defer model.Remove()
	if err := model.Create(); err != nil {
		return fmt.Errorf("create the inventory: %w", err)
	}

	model.Service.RegisterEndpoints = true
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: *listen}
	if *username != "" {
		model.Service.Listen.User = url.UserPassword(*username, *password)
	}
	server := model.Service.NewServer()
	defer server.Close()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	if *stdinExit {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}

	fmt.Printf("export GOVC_URL=%s GOVC_SIM_PID=%d\n", server.URL, os.Getpid())
	<-stop
	return nil
}
