package main

// The services besides the main one, as in upstream's command: each
// registers itself with the server. A build with Debian's copy omits this
// file; the client's test of these services fails on it.
import (
	_ "github.com/vmware/govmomi/eam/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)
