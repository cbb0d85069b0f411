package inventory

// Natively, on the mock host: go test

import (
	"testing"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/adaptertest"
)

type object = map[string]any

func TestAllPagesOfAListAreRead(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("GET", "/v1/racks?page=1&size=2", 200, `{"items": [{"id": "1"}, {"id": "2"}], "total": 3}`)
	host.Respond("GET", "/v1/racks?page=2&size=2", 200, `{"items": [{"id": "3", "name": "Zürich"}], "total": 3}`)
	request := adaptertest.FirstPage("racks", "name")
	request.PageSize = 2
	records, err := adaptertest.LoadAll(Inventory{}, request)
	if err != nil || len(records) != 3 || records[2]["name"] != "Zürich" {
		t.Fatal(records, err)
	}
}

func TestAListThatMovesIsNotBelieved(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("GET", "/v1/racks?page=1&size=1", 200, `{"items": [{"id": "1"}], "total": 3}`)
	host.Respond("GET", "/v1/racks?page=2&size=1", 200, `{"items": [{"id": "3"}], "total": 2}`)
	request := adaptertest.FirstPage("racks")
	request.PageSize = 1
	if _, err := adaptertest.LoadAll(Inventory{}, request); adapter.KindOf(err) != adapter.Conflict {
		t.Fatal(err)
	}
}

func TestRefusalsAreCases(t *testing.T) {
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
		host.Respond("GET", "/v1/racks?page=1&size=1000", refusal.status, refusal.body)
		if _, err := (Inventory{}).Load(adaptertest.FirstPage("racks")); adapter.KindOf(err) != refusal.kind {
			t.Fatal(refusal, err)
		}
	}
}

func TestEachRowGetsItsOutcome(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("POST", "/v1/racks", 201, `{"id": "8"}`)
	host.Respond("POST", "/v1/racks", 409, `{"detail": "there is one"}`)
	request := adaptertest.Write("Rack", adapter.Create,
		object{"key": object{"name": "r1"}, "fields": object{"name": "r1", "site": object{"kind": "Site", "id": "17"}}},
		object{"key": object{"name": "r2"}, "fields": object{"name": "r2"}},
		object{"key": object{"name": "r3"}, "fields": object{"name": "r3", "site": object{"kind": "Site"}}},
	)
	request.Resource, request.References = "racks", []string{"site"}
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Written("8") {
		t.Fatal(outcomes, err)
	}
	if body := string(host.Requests[0].Body); body != `{"name":"r1","site":"17"}` {
		t.Fatal(body)
	}
	if refused := outcomes[1].Failure; refused.Kind != adapter.Conflict || refused.HTTPStatus != 409 {
		t.Fatal(refused)
	}
	if unknown := outcomes[2].Failure; unknown.Kind != adapter.Invalid {
		t.Fatal(unknown)
	}
}

func TestWhatIsThereAsItShouldBeIsNotCreatedAgain(t *testing.T) {
	host := adaptertest.New(t)
	for _, height := range []string{"42", "48"} {
		host.Respond("POST", "/v1/racks", 409, `{"id": "7"}`)
		host.Respond("GET", "/v1/racks/7", 200, `{"id": "7", "name": "r1", "height": `+height+`}`)
	}
	row := object{"key": object{"name": "r1"}, "fields": object{"name": "r1", "height": 42}}
	request := adaptertest.Write("Rack", adapter.Create, row, row)
	request.Resource = "racks"
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Unchanged("7") {
		t.Fatal(outcomes, err)
	}
	if outcomes[1].Failure.Kind != adapter.Conflict {
		t.Fatal(outcomes[1])
	}
}

func TestWhatIsGoneNeedsNoDelete(t *testing.T) {
	host := adaptertest.New(t)
	host.Respond("DELETE", "/v1/racks/8", 204, nil)
	host.Respond("DELETE", "/v1/racks/9", 404, nil)
	request := adaptertest.Write("Rack", adapter.Remove, object{"id": "8"}, object{"id": "9"}, object{})
	request.Resource = "racks"
	outcomes, err := Inventory{}.Write(request)
	if err != nil || outcomes[0] != adapter.Written("8") || outcomes[1] != adapter.Unchanged("9") {
		t.Fatal(outcomes, err)
	}
	if outcomes[2].Failure.Kind != adapter.Invalid {
		t.Fatal(outcomes[2])
	}
}
