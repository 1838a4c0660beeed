// Command record records the responses of vcsim, for the tests of the bindings.
//
// For every managed object type of which govmomi's simulator has an object, at
// the version pinned in peers.lock, it requests all properties of one or two
// objects, as a client does, over HTTP, and stores the body of the response: one
// file per type, <Type>.xml. The file types.txt lists the recorded types.
//
// A recording is the response byte for byte, except for what scrub.go
// replaces. Random choices of the simulator use a fixed seed, so that
// recording again changes little; Go needs a setting to still allow that.
//
//go:debug randseednop=0
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	folder := flag.String("to", "", "the folder for the recordings; what it has of them is replaced")
	flag.Parse()
	if *folder == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := record(context.Background(), *folder); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, folder string) error {
	recordings := map[string]recording{}
	models := []struct {
		name  string
		model *simulator.Model
		fill  func(context.Context, *scene) error
	}{
		{"vCenter", vCenter(), fillVCenter},
		{"ESX", simulator.ESX(), fillESX},
	}
	for _, m := range models {
		unchance()
		err := play(ctx, m.model, func(s *scene) error {
			if err := m.fill(ctx, s); err != nil {
				return fmt.Errorf("fill the inventory: %w", err)
			}
			taken, err := s.recordAll(ctx)
			for kind, recording := range taken {
				// A type that both have is recorded from the first: the vCenter.
				if _, had := recordings[kind]; !had {
					recording.model = m.name
					recordings[kind] = recording
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return write(folder, recordings)
}

func write(folder string, recordings map[string]recording) error {
	old, err := filepath.Glob(filepath.Join(folder, "*.xml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}

	var kinds []string
	for kind := range recordings {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	var list strings.Builder
	list.WriteString("# The managed object types of which vcsim has objects: the model, and the\n" +
		"# objects that were recorded of those it had. Written with the recordings.\n")
	for _, kind := range kinds {
		r := recordings[kind]
		fmt.Fprintf(&list, "%s: %s, %s of %d\n", kind, r.model, strings.Join(r.ids, " and "), r.of)
		if err := os.WriteFile(filepath.Join(folder, kind+".xml"), r.body, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("recorded %d types\n", len(kinds))
	return os.WriteFile(filepath.Join(folder, "types.txt"), []byte(list.String()), 0o644)
}
