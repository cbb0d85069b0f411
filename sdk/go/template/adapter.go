// Package inventory is an adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special about
// your system.
//
//	GET    /v1/{list}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//	GET    /v1/{list}/{id}              {"id": "7", "name": "r1"}
//	POST   /v1/{list}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
//	PATCH  /v1/{list}/{id}              200
//	DELETE /v1/{list}/{id}              204
package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
)

func init() { adapter.Export(manifest, configure) }

// The names in messages about refusals.
var system = adapter.System{Name: "the inventory", Credential: "token", Variable: "INVENTORY_TOKEN"}

// Inventory is the adapter.
type Inventory struct{ adapter.Base }

func manifest() adapter.Manifest {
	return adapter.Manifest{
		Name:        "inventory",
		Version:     "0.1.0",
		Description: "a REST API with paged lists, as a source and as a destination",
		Settings: []adapter.Setting{
			{Name: "url", Help: "its address", Required: true, Environment: []string{"INVENTORY_URL"}},
			{Name: "token", Help: "an API token", Secret: true, Environment: []string{"INVENTORY_TOKEN"}},
		},
		AddressSetting: "url",
		// The host adds it to each request. The adapter never sees the token.
		Credentials: []adapter.Credential{{Header: []adapter.HeaderTemplate{{Name: "authorization", Template: "Bearer {token}"}}}},
		// In both directions, a project names the list by `mapping:`.
		Source:        adapter.ByMapping,
		Destination:   adapter.ByMapping,
		Evidence:      adapter.EvidenceTotal,
		HasIDs:        true,
		PageSize:      100,
		WriteBatchMax: 100,
	}
}

func configure([]byte) (adapter.Adapter, error) { return Inventory{}, nil }

// position is the cursor: the page to continue with, and the number of objects.
type position struct {
	Page  uint32 `json:"page"`
	Total uint64 `json:"total"`
}

// Load reads one page.
func (Inventory) Load(request adapter.LoadRequest) (adapter.Page, error) {
	if request.Since != "" {
		return adapter.Page{}, adapter.Errorf(adapter.Unsupported, "this system does not tell which objects changed")
	}
	at := position{Page: 1}
	isFurther, err := request.CursorAs(&at)
	if err != nil {
		return adapter.Page{}, err
	}
	query := adapter.NewQuery(listPath(request.Resource)).With("page", at.Page).With("size", request.PageSize)
	response, err := system.Success(request.Resource, adapter.Get(query))
	if err != nil {
		return adapter.Page{}, err
	}
	var total uint64
	if response.Get("/total", &total) != nil {
		return adapter.Page{}, system.Unexpected(request.Resource, response)
	}
	// Pages by number shift when an object is added or removed meanwhile, and a skipped object would look deleted.
	if isFurther && at.Total != total {
		return adapter.Page{}, adapter.Errorf(adapter.Conflict, "`%s` was modified while it was read: run again", request.Resource)
	}
	page := adapter.Document(response, "/items")
	page.Total = &total
	if uint64(at.Page)*uint64(request.PageSize) < total {
		page.Next = position{Page: at.Page + 1, Total: total}
	}
	return page, nil
}

// Write writes row by row.
func (Inventory) Write(request adapter.WriteRequest) ([]adapter.Outcome, error) {
	return request.Outcomes(func(row adapter.Row) (adapter.Outcome, error) { return write(request, row) })
}

func write(request adapter.WriteRequest, row adapter.Row) (adapter.Outcome, error) {
	// Objects are written to the list from which they are read, whatever the project calls their kind.
	list := request.Target.ResourceOrKind()
	fields, err := body(request.Target, row)
	if err != nil {
		return adapter.Outcome{}, err
	}
	if request.Operation == adapter.Create {
		return create(list, fields)
	}
	id, err := row.KnownID()
	if err != nil {
		return adapter.Outcome{}, err
	}
	change := adapter.Delete(objectPath(list, id))
	if request.Operation == adapter.Update {
		change = adapter.Patch(objectPath(list, id), fields)
	}
	response, err := system.Success(list, change)
	// A write may be repeated after an interruption: this object was deleted before.
	if request.Operation == adapter.Remove && adapter.KindOf(err) == adapter.NotFound {
		return adapter.Unchanged(id), nil
	}
	if err != nil {
		return adapter.Outcome{}, err
	}
	response.Release()
	return adapter.Written(id), nil
}

func create(list string, fields map[string]any) (adapter.Outcome, error) {
	response, err := adapter.Post(listPath(list), fields).Send()
	if err != nil {
		return adapter.Outcome{}, err
	}
	// One response a row: a batch has more rows than the host keeps responses.
	defer response.Release()
	var value any
	id := ""
	if response.Value("/id", &value) {
		id = fmt.Sprint(value)
	}
	// In the same way: an object with these values was created before.
	if response.Status() == 409 && id != "" {
		same, err := has(objectPath(list, id), fields)
		if err != nil {
			return adapter.Outcome{}, err
		}
		if same {
			return adapter.Unchanged(id), nil
		}
	}
	if !response.IsSuccess() {
		return adapter.Outcome{}, system.Refuse(list, response, "")
	}
	return adapter.Written(id), nil
}

// body returns the fields of a row in the system's words: a value is written to the place from which it is read, a reference by the peer's id.
func body(target adapter.Target, row adapter.Row) (map[string]any, error) {
	fields := map[string]any{}
	for name, value := range row.Fields {
		field, err := target.KnownField(name)
		if err != nil {
			return nil, err
		}
		place, _ := field.SplitPath()
		if fields[place], err = field.WithPeers(value, adapter.PeerID); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func listPath(list string) string { return "/v1/" + adapter.PathSegment(list) }

func objectPath(list, id string) string { return listPath(list) + "/" + adapter.PathSegment(id) }

// has says whether the object has these values already.
func has(url string, fields map[string]any) (bool, error) {
	response, err := adapter.Get(url).Send()
	if err != nil {
		return false, err
	}
	defer response.Release()
	text := response.JSON("")[0]
	if !response.IsSuccess() || text == nil {
		return false, nil
	}
	// Numbers stay text, as in a row.
	decoder := json.NewDecoder(strings.NewReader(*text))
	decoder.UseNumber()
	var found map[string]any
	if decoder.Decode(&found) != nil {
		return false, nil
	}
	for name, wanted := range fields {
		value, there := found[name]
		if !there || !reflect.DeepEqual(value, wanted) {
			return false, nil
		}
	}
	return true, nil
}
