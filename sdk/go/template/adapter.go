// Package inventory is an adapter for a REST API with paged lists, as a source and as a destination. Replace what is special about
// it by your system.
//
//	GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
//	GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
//	POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
//	PATCH  /v1/{resource}/{id}              200
//	DELETE /v1/{resource}/{id}              204
package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
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
		Destination:   true,
		HasIDs:        true,
		PageSize:      100,
		WriteBatchMax: 100,
	}
}

func configure([]byte) (adapter.Adapter, error) { return Inventory{}, nil }

// position is the cursor: where to go on, and how many objects there were.
type position struct {
	Page  uint32 `json:"page"`
	Total uint64 `json:"total"`
}

// Load reads one page.
func (Inventory) Load(request adapter.LoadRequest) (adapter.Page, error) {
	if request.Since != "" {
		return adapter.Page{}, adapter.Errorf(adapter.Unsupported, "this system does not tell what changed")
	}
	at := position{Page: 1}
	goesOn, err := request.CursorAs(&at)
	if err != nil {
		return adapter.Page{}, err
	}
	query := adapter.NewQuery(pathOf(request.Resource)).With("page", at.Page).With("size", request.PageSize)
	response, err := adapter.Get(query).Success(request.Resource)
	if err != nil {
		return adapter.Page{}, err
	}
	var total uint64
	if !response.Value("/total", &total) {
		return adapter.Page{}, adapter.Errorf(adapter.Remote, "%s: the answer is no list with a `total`", request.Resource)
	}
	// Pages by number shift when somebody adds or removes an object meanwhile, and what is skipped would look deleted.
	if goesOn && at.Total != total {
		return adapter.Page{}, adapter.Errorf(adapter.Conflict, "%s: the list changed while it was read; run it again", request.Resource)
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
	resource := request.Resource
	if resource == "" {
		resource = request.Kind
	}
	fields := map[string]any{}
	for name, value := range row.Fields {
		if slices.Contains(request.References, name) {
			id, err := plain(value)
			if err != nil {
				return adapter.Outcome{}, err
			}
			value = id
		}
		fields[name] = value
	}
	if request.Operation == adapter.Create {
		return create(request.Kind, pathOf(resource), fields)
	}
	if row.ID == "" {
		return adapter.Outcome{}, adapter.Errorf(adapter.Invalid, "the id of this object is not known")
	}
	url := pathOf(resource) + "/" + adapter.PathSegment(row.ID)
	change := adapter.Delete(url)
	if request.Operation == adapter.Update {
		change = adapter.Patch(url, fields)
	}
	response, err := change.Success(request.Kind)
	// In the same way: what is gone was deleted before.
	if request.Operation == adapter.Remove && adapter.KindOf(err) == adapter.NotFound {
		return adapter.Unchanged(row.ID), nil
	}
	if err != nil {
		return adapter.Outcome{}, err
	}
	response.Release()
	return adapter.Written(row.ID), nil
}

func create(kind, collection string, fields map[string]any) (adapter.Outcome, error) {
	response, err := adapter.Post(collection, fields).Send()
	if err != nil {
		return adapter.Outcome{}, err
	}
	// One response a row: a batch has more rows than the host keeps responses.
	defer response.Release()
	var id any
	known := response.Value("/id", &id)
	// A write may be repeated after an interruption: what is there as it should be was created before.
	if response.Status() == 409 && known {
		there, err := isThere(collection+"/"+adapter.PathSegment(fmt.Sprint(id)), fields)
		if err != nil {
			return adapter.Outcome{}, err
		}
		if there {
			return adapter.Unchanged(fmt.Sprint(id)), nil
		}
	}
	if !response.IsSuccess() {
		return adapter.Outcome{}, adapter.ErrorFromResponse(kind, response)
	}
	if !known {
		return adapter.Written(""), nil
	}
	return adapter.Written(fmt.Sprint(id)), nil
}

// isThere says whether the object has these fields already.
func isThere(url string, fields map[string]any) (bool, error) {
	response, err := adapter.Get(url).Send()
	if err != nil {
		return false, err
	}
	defer response.Release()
	text := response.JSON("")[0]
	if !response.IsSuccess() || text == nil {
		return false, nil
	}
	// Numbers as those of a row are: as they are written.
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

// plain is a reference as this system wants it: the peer's id, or a list of them.
func plain(reference any) (any, error) {
	switch reference := reference.(type) {
	case []any:
		ids := []any{}
		for _, each := range reference {
			id, err := plain(each)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	case map[string]any:
		if reference["id"] == nil {
			return nil, adapter.Errorf(adapter.Invalid, "the id of the %v that it refers to is not known", reference["kind"])
		}
		return reference["id"], nil
	default:
		return nil, nil
	}
}
