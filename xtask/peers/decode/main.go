// Command decode prints how long govmomi takes to decode a page of machines to
// its types and to encode it again (the best of five), and how often it
// allocates while decoding. It is govmomi's part of cargo xtask bench-peers.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "decode:", err)
		os.Exit(1)
	}
}

func measure() error {
	if len(os.Args) != 2 {
		return errors.New("name the payload's file")
	}
	payload, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}

	var decoding, encoding time.Duration
	var allocations uint64
	var disks, written int
	for turn := range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		page, err := decode(payload)
		took := time.Since(start)
		if err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		allocations = after.Mallocs - before.Mallocs
		decoding = shorter(turn, decoding, took)
		disks = count(page)

		var message bytes.Buffer
		start = time.Now()
		if err := xml.NewEncoder(&message).Encode(soap.Envelope{Body: methods.RetrievePropertiesExBody{Res: page}}); err != nil {
			return err
		}
		encoding = shorter(turn, encoding, time.Since(start))
		written = message.Len()
	}
	fmt.Printf("disks=%d\ndecode_seconds=%g\nencode_seconds=%g\nencoded_bytes=%d\nallocations=%d\n",
		disks, decoding.Seconds(), encoding.Seconds(), written, allocations)
	return nil
}

func shorter(turn int, best, took time.Duration) time.Duration {
	if turn == 0 {
		return took
	}
	return min(best, took)
}

// decode does what govmomi's client does with a response.
func decode(payload []byte) (*types.RetrievePropertiesExResponse, error) {
	var body methods.RetrievePropertiesExBody
	decoder := xml.NewDecoder(bytes.NewReader(payload))
	decoder.TypeFunc = types.TypeFunc()
	if err := decoder.Decode(&soap.Envelope{Body: &body}); err != nil {
		return nil, err
	}
	if body.Res == nil {
		return nil, errors.New("the payload is not a page")
	}
	return body.Res, nil
}

// count counts the disks, to prove that everything was decoded.
func count(page *types.RetrievePropertiesExResponse) int {
	disks := 0
	for _, object := range page.Returnval.Objects {
		for _, property := range object.PropSet {
			config, ok := property.Val.(types.VirtualMachineConfigInfo)
			if !ok {
				continue
			}
			for _, device := range config.Hardware.Device {
				if _, ok := device.(*types.VirtualDisk); ok {
					disks++
				}
			}
		}
	}
	return disks
}
