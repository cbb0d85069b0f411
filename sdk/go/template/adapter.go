// Package inventory is an adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special to this
// API.
//
//	GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//	GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
//	POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} if one of that name exists
//	PATCH  /v1/{resource}/{id}              200
//	DELETE /v1/{resource}/{id}              204
package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
)

func init() { adapter.Export(manifest, configure) }

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
		Credentials:   []adapter.Credential{{Header: []adapter.HeaderTemplate{{Name: "authorization", Template: "Bearer {token}"}}}},
		Source:        adapter.ByMapping,
		Destination:   adapter.ByMapping,
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
		return adapter.Page{}, adapter.Errorf(adapter.Unsupported, "this system does not report modifications")
	}
	at := position{Page: 1}
	isFurther, err := request.CursorAs(&at)
	if err != nil {
		return adapter.Page{}, err
	}
	query := adapter.NewQuery(pathOf(request.Resource)).With("page", at.Page).With("size", request.PageSize)
	response, err := adapter.Get(query).Success(request.Resource)
	if err != nil {
		return adapter.Page{}, err
	}
	var total uint64
	if err := response.Get("/total", &total); err != nil {
		return adapter.Page{}, err
	}
	// Page numbers shift when an object is added or removed meanwhile, and a skipped object would look deleted.
	if isFurther && at.Total != total {
		return adapter.Page{}, adapter.Errorf(adapter.Conflict, "%s: the list changed during the read; run it again", request.Resource)
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
	resource := request.Target.ResourceOrKind()
	fields, err := fieldsOf(request.Target, row)
	if err != nil {
		return adapter.Outcome{}, err
	}
	if request.Operation == adapter.Create {
		return create(resource, fields)
	}
	id, err := row.KnownID()
	if err != nil {
		return adapter.Outcome{}, err
	}
	url := pathOf(resource) + "/" + adapter.PathSegment(id)
	change := adapter.Delete(url)
	if request.Operation == adapter.Update {
		change = adapter.Patch(url, fields)
	}
	response, err := change.Success(resource)
	// Likewise: a missing object was deleted before.
	if request.Operation == adapter.Remove && adapter.KindOf(err) == adapter.NotFound {
		return adapter.Unchanged(id), nil
	}
	if err != nil {
		return adapter.Outcome{}, err
	}
	response.Release()
	return adapter.Written(id), nil
}

// fieldsOf returns the fields of a row as this system takes them: by their names in the system, references as ids.
func fieldsOf(target adapter.Target, row adapter.Row) (map[string]any, error) {
	fields := map[string]any{}
	for name, value := range row.Fields {
		field, err := target.KnownField(name)
		if err != nil {
			return nil, err
		}
		// site.id is read, site is written.
		written, _ := field.SplitPath()
		if fields[written], err = field.WithPeers(value, adapter.PeerID); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func create(resource string, fields map[string]any) (adapter.Outcome, error) {
	collection := pathOf(resource)
	response, err := adapter.Post(collection, fields).Send()
	if err != nil {
		return adapter.Outcome{}, err
	}
	// One response a row: a batch has more rows than the host keeps responses.
	defer response.Release()
	var id any
	known := response.Value("/id", &id)
	// A write may be repeated after an interruption: an object with these very fields was created before.
	if response.Status() == 409 && known {
		same, err := has(collection+"/"+adapter.PathSegment(fmt.Sprint(id)), fields)
		if err != nil {
			return adapter.Outcome{}, err
		}
		if same {
			return adapter.Unchanged(fmt.Sprint(id)), nil
		}
	}
	if !response.IsSuccess() {
		return adapter.Outcome{}, adapter.ErrorFromResponse(resource, response)
	}
	if !known {
		return adapter.Written(""), nil
	}
	return adapter.Written(fmt.Sprint(id)), nil
}

// has says whether the object has these fields.
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
		value, has := found[name]
		if !has || !reflect.DeepEqual(value, wanted) {
			return false, nil
		}
	}
	return true, nil
}

func pathOf(resource string) string { return "/v1/" + adapter.PathSegment(resource) }
