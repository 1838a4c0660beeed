package main

// The services beside the main one, as upstream's command has them: each
// registers itself with the server. A build over Debian's copy leaves this file
// out; the client's test of these services fails on it.
import (
	_ "github.com/vmware/govmomi/eam/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)
