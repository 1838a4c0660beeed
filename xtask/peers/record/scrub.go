package main

import (
	"context"
	"fmt"
	"math/rand"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// unchance makes the simulator's random choices reproducible.
func unchance() {
	uuid.SetRand(rand.New(rand.NewSource(25)))
	//lint:ignore SA1019 the simulator uses the global source
	rand.Seed(25)
}

// Numbers that differ between runs: a time in nanoseconds, a number that the
// client's device list derives from the clock, the random values of concurrent
// tasks, how often a session was used, and the port. Each replacement
// has the same format.
var runs = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(<changeVersion>)\d{19}<`), "${1}1767323045123456789<"},
	{regexp.MustCompile(`(cdrom-[0-9-]*-)\d{10,}`), "${1}25252525252525"},
	{regexp.MustCompile(`(<logicalSwitchUuid>|/vnet_)[0-9a-f-]{36}<`), "${1}25252525-2525-4525-a525-252525252525<"},
	{regexp.MustCompile(`(<callCount>)\d+<`), "${1}25<"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:8989"},
}

// A time of the run. Its format is kept: with a fraction or not, a zone or Z.
var today = regexp.MustCompile(`\b20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)

// A scrubber removes from a response what is specific to this run or machine, and
// the key of the session, which is as secret as a password.
type scrubber struct {
	replacer *strings.Replacer
}

func newScrubber(ctx context.Context, s *scene) (*scrubber, error) {
	session, err := s.client.SessionManager.UserSession(ctx)
	if err != nil {
		return nil, err
	}
	var pairs []string
	// The names of session objects contain its key.
	for i, ref := range s.session {
		pairs = append(pairs, ref.Value, fmt.Sprintf("session[key]00000000-0000-0000-0000-%012d", i+1))
	}
	pairs = append(pairs, session.Key, "00000000-0000-0000-0000-000000000000")
	home, err := s.home(ctx)
	if err != nil {
		return nil, err
	}
	if home != "" {
		pairs = append(pairs, home, "/vcsim")
	}
	return &scrubber{strings.NewReplacer(pairs...)}, nil
}

func (s *scrubber) scrub(text string) string {
	text = s.replacer.Replace(text)
	for _, run := range runs {
		text = run.pattern.ReplaceAllString(text, run.instead)
	}
	return today.ReplaceAllStringFunc(text, func(found string) string {
		parts := today.FindStringSubmatch(found)
		if parts[1] != "" {
			return "2026-01-02T03:04:05.123456789" + parts[2]
		}
		return "2026-01-02T03:04:05" + parts[2]
	})
}

// home is the folder below which the simulator stores its datastores; an option
// has its path.
func (s *scene) home(ctx context.Context) (string, error) {
	setting := s.client.ServiceContent.Setting
	if setting == nil {
		return "", nil
	}
	options, err := object.NewOptionManager(s.client.Client, *setting).Query(ctx, "vcsim.home")
	if err != nil {
		return "", fmt.Errorf("ask for the folder of the datastores: %w", err)
	}
	for _, option := range options {
		if home, ok := option.(*types.OptionValue).Value.(string); ok {
			return home, nil
		}
	}
	return "", nil
}
