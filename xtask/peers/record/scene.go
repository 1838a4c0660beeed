package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// A running simulator, and a client with a session.
type scene struct {
	model  *simulator.Model
	client *govmomi.Client
	url    *url.URL
	// Objects of the session, which are in no registry that we can read.
	session []types.ManagedObjectReference
}

// The response for one type.
type recording struct {
	model string
	ids   []string
	of    int
	body  []byte
}

// play runs f while the model is served.
func play(ctx context.Context, model *simulator.Model, f func(*scene) error) error {
	defer model.Remove()
	if err := model.Create(); err != nil {
		return fmt.Errorf("create the inventory: %w", err)
	}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0"}
	server := model.Service.NewServer()
	defer server.Close()
	client, err := govmomi.NewClient(ctx, server.URL, true)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer func() { _ = client.Logout(ctx) }()
	return f(&scene{model: model, client: client, url: server.URL})
}

// keep registers an object of the session, so that it is recorded as well.
func (s *scene) keep(ref types.ManagedObjectReference) {
	s.session = append(s.session, ref)
}

// recordAll records every type.
func (s *scene) recordAll(ctx context.Context) (map[string]recording, error) {
	byType := map[string][]types.ManagedObjectReference{}
	for _, object := range s.model.Map().AllReference("") {
		ref := object.Reference()
		byType[ref.Type] = append(byType[ref.Type], ref)
	}
	for _, ref := range s.session {
		byType[ref.Type] = append(byType[ref.Type], ref)
	}
	scrubber, err := newScrubber(ctx, s)
	if err != nil {
		return nil, err
	}
	recordings := map[string]recording{}
	for kind, refs := range byType {
		recording, err := s.recordType(ctx, refs, scrubber)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		recordings[kind] = recording
	}
	return recordings, nil
}

// The maximum number of objects of one type to read, and the size up to which a second
// one is recorded.
const (
	enough = 40
	small  = 24 << 10
)

// recordType records the object with the most content, and also the next one if
// both are small.
func (s *scene) recordType(ctx context.Context, refs []types.ManagedObjectReference, scrubber *scrubber) (recording, error) {
	type answer struct {
		ref      types.ManagedObjectReference
		elements int
		size     int
	}
	sort.Slice(refs, func(i, j int) bool { return refs[i].Value < refs[j].Value })
	var answers []answer
	for _, ref := range refs[:min(len(refs), enough)] {
		body, err := s.ask(ctx, ref)
		if err != nil {
			return recording{}, err
		}
		answers = append(answers, answer{ref, bytes.Count(body, []byte("</")), len(body)})
	}
	sort.SliceStable(answers, func(i, j int) bool { return answers[i].elements > answers[j].elements })
	if len(answers) > 1 && answers[0].size+answers[1].size <= small {
		answers = answers[:2]
	} else {
		answers = answers[:1]
	}
	var chosen []types.ManagedObjectReference
	r := recording{of: len(refs)}
	for _, answer := range answers {
		chosen = append(chosen, answer.ref)
		r.ids = append(r.ids, scrubber.scrub(answer.ref.Value))
	}
	body, err := s.ask(ctx, chosen...)
	if err != nil {
		return recording{}, err
	}
	r.body = []byte(scrubber.scrub(string(body)))
	return r, nil
}

// ask requests all properties of objects of one type and returns the verbatim body of the
// response.
func (s *scene) ask(ctx context.Context, refs ...types.ManagedObjectReference) ([]byte, error) {
	var objects bytes.Buffer
	for _, ref := range refs {
		fmt.Fprintf(&objects, `<objectSet><obj type="%s">%s</obj></objectSet>`, ref.Type, ref.Value)
	}
	collector := s.client.ServiceContent.PropertyCollector
	message := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>
<RetrievePropertiesEx xmlns="urn:vim25"><_this type="%s">%s</_this><specSet><propSet><type>%s</type><all>true</all></propSet>%s</specSet><options></options></RetrievePropertiesEx>
</Body></Envelope>`, collector.Type, collector.Value, refs[0].Type, objects.String())

	place := *s.url
	place.User = nil
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, place.String(), bytes.NewBufferString(message))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	request.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	// The session is the client's: views and collectors belong to it.
	client := http.Client{Jar: s.client.Client.Jar}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%v: %s: %s", refs, response.Status, body)
	}
	return body, nil
}
