package main

// The services beside the main one, as upstream's command has them: each
// registers itself with the server.
import (
	_ "github.com/vmware/govmomi/eam/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)
