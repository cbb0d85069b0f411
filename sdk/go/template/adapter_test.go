package inventory

// Natively, on the mock host: go test

import (
	"testing"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/adaptertest"
)

type object = map[string]any

// The model's Rack is a cabinet in this system, and some fields have other names.
var rack = adapter.Target{Kind: "Rack", Resource: "cabinets", Fields: []adapter.TargetField{
	{Name: "name", Path: "label", Identifier: true},
	{Name: "height"},
	{Name: "location", Path: "site.id", Peers: []string{"Site"}},
}}

func TestReadsAllPagesOfAList(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("GET", "/v1/cabinets?page=1&size=2", 200, `{"items": [{"id": "1"}, {"id": "2"}], "total": 3}`)
	host.Respond("GET", "/v1/cabinets?page=2&size=2", 200, `{"items": [{"id": "3", "label": "Zürich"}], "total": 3}`)
	request := adaptertest.FirstPage("cabinets", "label")
	request.PageSize = 2
	records, err := adaptertest.LoadAll(Inventory{}, request)
	if err != nil || len(records) != 3 || records[2]["label"] != "Zürich" {
		t.Fatal(records, err)
	}
}

func TestRejectsAListThatMoves(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("GET", "/v1/cabinets?page=1&size=1", 200, `{"items": [{"id": "1"}], "total": 3}`)
	host.Respond("GET", "/v1/cabinets?page=2&size=1", 200, `{"items": [{"id": "3"}], "total": 2}`)
	request := adaptertest.FirstPage("cabinets")
	request.PageSize = 1
	if _, err := adaptertest.LoadAll(Inventory{}, request); adapter.KindOf(err) != adapter.Conflict {
		t.Fatal(err)
	}
}

func TestFailuresAreCases(t *testing.T) {
	for _, refusal := range []struct {
		status uint16
		body   string
		kind   adapter.ErrorKind
	}{
		{401, `{"detail": "no token"}`, adapter.Auth},
		{404, "", adapter.NotFound},
		{500, "<html>", adapter.Remote},
		{200, "<html>", adapter.Remote},
		{200, `{"results": []}`, adapter.Remote},
	} {
		host := adaptertest.New(t)
		host.Respond("GET", "/v1/cabinets?page=1&size=1000", refusal.status, refusal.body)
		if _, err := (Inventory{}).Load(adaptertest.FirstPage("cabinets")); adapter.KindOf(err) != refusal.kind {
			t.Fatal(refusal, err)
		}
	}
}

func TestEachRowGetsItsOutcome(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("POST", "/v1/cabinets", 201, `{"id": "8"}`)
	host.Respond("POST", "/v1/cabinets", 409, `{"detail": "there is one"}`)
	request := adaptertest.WriteRequest(rack, adapter.Create,
		object{"key": object{"name": "r1"}, "fields": object{"name": "r1", "location": object{"kind": "Site", "id": "17"}}},
		object{"key": object{"name": "r2"}, "fields": object{"name": "r2"}},
		object{"key": object{"name": "r3"}, "fields": object{"name": "r3", "location": object{"kind": "Site"}}},
	)
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Written("8") {
		t.Fatal(outcomes, err)
	}
	if body := string(host.Requests[0].Body); body != `{"label":"r1","site":"17"}` {
		t.Fatal(body)
	}
	if rejected := outcomes[1].Failure; rejected.Kind != adapter.Conflict || rejected.HTTPStatus != 409 {
		t.Fatal(rejected)
	}
	if unknown := outcomes[2].Failure; unknown.Kind != adapter.NotFound {
		t.Fatal(unknown)
	}
}

func TestDoesNotCreateAnObjectTwice(t *testing.T) {
	host := adaptertest.New(t)
	for _, height := range []string{"42", "48"} {
		host.Respond("POST", "/v1/cabinets", 409, `{"id": "7"}`)
		host.Respond("GET", "/v1/cabinets/7", 200, `{"id": "7", "label": "r1", "height": `+height+`}`)
	}
	row := object{"key": object{"name": "r1"}, "fields": object{"name": "r1", "height": 42}}
	request := adaptertest.WriteRequest(rack, adapter.Create, row, row)
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Unchanged("7") {
		t.Fatal(outcomes, err)
	}
	if outcomes[1].Failure.Kind != adapter.Conflict {
		t.Fatal(outcomes[1])
	}
}

func TestAMissingObjectNeedsNoDelete(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("DELETE", "/v1/cabinets/8", 204, nil)
	host.Respond("DELETE", "/v1/cabinets/9", 404, nil)
	request := adaptertest.WriteRequest(rack, adapter.Remove, object{"id": "8"}, object{"id": "9"}, object{})
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Written("8") || outcomes[1] != adapter.Unchanged("9") {
		t.Fatal(outcomes, err)
	}
	if outcomes[2].Failure.Kind != adapter.Invalid {
		t.Fatal(outcomes[2])
	}
}
