// Package prober does what it is told by the resource's name: see tests/tests/languages.rs.
package prober

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/files"
	"github.com/opsmill/infrahub-sync/sdk/go/log"
	"github.com/opsmill/infrahub-sync/sdk/go/memo"
)

func init() { adapter.Export(manifest, configure) }

// Prober is the adapter.
type Prober struct {
	adapter.Base
	settings map[string]any
}

var kept *adapter.Response

type list = []any

func manifest() adapter.Manifest {
	seven := "7"
	return adapter.Manifest{
		Name: "prober", Version: "1.2.3", Description: "does as it is told",
		Settings: []adapter.Setting{
			{Name: "url", Help: "an address"},
			{Name: "path", Help: "a folder"},
			{Name: "wish", Help: "a number", Type: adapter.Integer, Environment: []string{"WISH", "WISH2"}, Default: &seven},
			{Name: "token", Help: "a token", Secret: true},
			{Name: "user", Help: "a name"},
			{Name: "password", Help: "a password", Secret: true},
		},
		AddressSetting: "url", FolderSetting: "path",
		Credentials: []adapter.Credential{
			{Header: []adapter.HeaderTemplate{
				{Name: "x-token", Template: "New {token}", Prefix: "new_"},
				{Name: "x-token", Template: "Old {token}"},
			}},
			{Basic: &adapter.Basic{UserSetting: "user", PasswordSetting: "password"}},
			{Query: &adapter.QueryParameter{Parameter: "key", Setting: "token"}},
			{Login: &adapter.Login{
				Steps: []adapter.LoginStep{
					{Method: "GET", Path: "/hello", Values: []adapter.LoginValue{{Name: "csrf", Cookie: "csrf"}, {Name: "id", Header: "X-Id"}}},
					{
						Method: "POST", Path: "/login", Headers: []adapter.Template{{Name: "X-Csrf", Template: "{csrf}"}}, JSON: `{"p": "{password}"}`,
						Values: []adapter.LoginValue{{Name: "t", JSON: "/t"}},
					},
				},
				Headers:     []adapter.Template{{Name: "authorization", Template: "Bearer {t}"}},
				RenewAfterS: 60, Expired: []uint16{401, 403},
				Refresh: []adapter.LoginStep{{Method: "POST", Path: "/again", Form: []adapter.Template{{Name: "t", Template: "{t}"}}}},
			}},
		},
		Source: adapter.ByKind, Destination: true, Schema: true, PageSize: 7, WriteBatchMax: 8, WriteConcurrency: 3, HasIDs: true,
	}
}

func configure(settings []byte) (adapter.Adapter, error) {
	prober := Prober{}
	if err := json.Unmarshal(settings, &prober.settings); err != nil {
		return nil, err
	}
	switch prober.settings["wish"] {
	case 13.0:
		return nil, adapter.Errorf(adapter.Config, "`wish` must not be 13")
	case 14.0:
		panic("odd")
	}
	return prober, nil
}

// Kinds has two.
func (Prober) Kinds(names []string) ([]adapter.Kind, error) {
	kinds := []adapter.Kind{
		{Name: "Site", Identifiers: []string{"name"}, StandsFor: []string{"Place"}, CanCreate: true, CanUpdate: true, Fields: []adapter.Field{
			{Name: "name", Type: adapter.FieldText, Unique: true},
			{Name: "region", Type: adapter.FieldReference, Optional: true, Reference: "Region"},
			{Name: "state", Choices: []string{"a", "b"}, ReadOnly: true, Default: `"a"`},
		}},
		{Name: "Region", CanCreate: true, CanUpdate: true, CanDelete: true},
	}
	return slices.DeleteFunc(kinds, func(kind adapter.Kind) bool { return len(names) > 0 && !slices.Contains(names, kind.Name) }), nil
}

func one(record any) (adapter.Page, error) { return adapter.Records(list{record}) }

func or(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Load does what the resource says.
func (p Prober) Load(request adapter.LoadRequest) (adapter.Page, error) {
	switch request.Resource {
	case "echo":
		return p.echo(request)
	case "text":
		return adapter.Records(list{map[string]any{"text": "é 🦀 \x00 \" \\ \u2028"}, map[string]any{"text": nil}})
	case "empty":
		return adapter.Page{Deleted: []string{}}, nil
	case "broken":
		panic("no such key")
	case "leave":
		panic("leaving")
	case "recurse":
		return p.Load(request)
	case "wait":
		failure := adapter.Errorf(adapter.RateLimited, "too fast")
		failure.HTTPStatus, failure.RetryAfter = 429, 1500*time.Millisecond
		return adapter.Page{}, failure
	case "many":
		return many()
	case "keep":
		response, err := adapter.Get("/results").Send()
		kept = response
		return adapter.Page{}, err
	case "give":
		response, err := adapter.Get("/results").Send()
		kept = response
		return adapter.Document(response, "/results"), err
	case "kept":
		return one(string(kept.Body()))
	case "part":
		return part()
	case "parse":
		response, err := adapter.Get("/results").Send()
		if err != nil {
			return adapter.Page{}, err
		}
		var whole any
		if err := response.Parse(&whole); err != nil {
			return adapter.Page{}, err
		}
		return adapter.Records(list{whole, len(response.Body())})
	case "refused":
		response, err := adapter.Get("/refused").Success("the refused")
		return adapter.Document(response, ""), err
	case "denied":
		response, err := adapter.Get("https://elsewhere.invalid/").Send()
		return adapter.Document(response, ""), err
	case "memo":
		return memos(request)
	case "files":
		return folder()
	case "missing":
		response, err := files.Read("missing.jsonl")
		return adapter.Lines(response), err
	case "lines":
		if err := files.Append("data.jsonl", []byte("{\"id\": 1}\n{\"id\": 2}\n")); err != nil {
			return adapter.Page{}, err
		}
		response, err := files.Read("data.jsonl")
		return adapter.Lines(response), err
	case "garbage":
		return garbage()
	}
	return adapter.Page{}, adapter.Errorf(adapter.NotFound, "%s", request.Resource)
}

func (p Prober) echo(request adapter.LoadRequest) (adapter.Page, error) {
	log.Infof("asked for %s", request.Resource)
	var cursor any
	if _, err := request.CursorAs(&cursor); err != nil {
		return adapter.Page{}, err
	}
	model := list{}
	for _, field := range request.Model {
		model = append(model, list{field.Name, field.IsReference})
	}
	page, err := one(map[string]any{
		"fields": request.Fields, "top": request.TopLevelFields(), "model": model, "size": request.PageSize, "cursor": cursor,
		"since": or(request.Since), "wish": p.settings["wish"], "settings": slices.Sorted(maps.Keys(p.settings)),
	})
	total := uint64(3)
	page.Next = map[string]any{"after": list{"é", 1}}
	page.Watermark, page.Deleted, page.Total = "now", []string{"7", "8"}, &total
	return page, err
}

func many() (adapter.Page, error) {
	for range 100 {
		response, err := adapter.Get("/results").Send()
		if err != nil {
			return adapter.Page{}, err
		}
		response.Release()
	}
	body := map[string]any{"é": list{1, nil}}
	post := adapter.Post(adapter.NewQuery("/results").With("a", "b c"), body).WithHeader("x-own", "1").OnlyReads()
	response, err := post.WithTimeout(5 * time.Second).Send()
	if err != nil {
		return adapter.Page{}, err
	}
	page := adapter.Document(response, "/results")
	page.Projection = []adapter.Projected{{Path: "name", Pointer: "/title"}}
	var total uint64
	if response.Value("/total", &total) {
		page.Total = &total
	}
	return page, nil
}

func part() (adapter.Page, error) {
	response, err := adapter.Get("/results").Send()
	if err != nil {
		return adapter.Page{}, err
	}
	count, _ := response.Count("/results")
	var none any
	if count, is := response.Count("/total"); is {
		none = count
	}
	header, _ := response.Header("x-h")
	return one(list{count, none, response.JSON("/total", "/x"), or(header)})
}

func memos(request adapter.LoadRequest) (adapter.Page, error) {
	lifetimes := []memo.Lifetime{memo.Run, memo.Lasting}
	found, put := list{}, list{}
	for _, lifetime := range lifetimes {
		var value any
		if _, err := memo.Get(lifetime, "k", &value); err != nil {
			return adapter.Page{}, err
		}
		found = append(found, value)
	}
	for _, lifetime := range lifetimes {
		var value any
		if err := memo.Put(lifetime, "k", list{"é", request.PageSize}, &value); err != nil {
			return adapter.Page{}, err
		}
		put = append(put, value)
	}
	return one(list{found, put})
}

func folder() (adapter.Page, error) {
	for _, err := range []error{
		files.Append("b.txt", []byte("é\n")), files.Append("b.txt", []byte("two\n")), files.Replace("b.txt", "a.txt"), files.Remove("never.txt"),
	} {
		if err != nil {
			return adapter.Page{}, err
		}
	}
	first, next, _, err := files.ReadLines("a.txt", 0, 1)
	if err != nil {
		return adapter.Page{}, err
	}
	names, err := files.List()
	if err != nil {
		return adapter.Page{}, err
	}
	whole, err := files.Read("a.txt")
	if err != nil {
		return adapter.Page{}, err
	}
	found := list{names, string(first.Body()), next, string(whole.Body())}
	if err := files.Remove("a.txt"); err != nil {
		return adapter.Page{}, err
	}
	return one(found)
}

// garbage makes so much of it that Go would begin a collection while the host hands over a body, many times, and tells how often there was one.
func garbage() (adapter.Page, error) {
	for range 60 {
		response, err := adapter.Get("/large").Send()
		if err != nil {
			return adapter.Page{}, err
		}
		_ = strings.Repeat("x", len(response.Body()))
		response.Release()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return one(memory.NumGC)
}

// Begin tells what it was told.
func (Prober) Begin(run adapter.Run) (string, error) {
	var changes []string
	for _, change := range run.Changes {
		changes = append(changes, fmt.Sprintf("['%s', %d, %d, %d]", change.Kind, change.Creates, change.Updates, change.Deletes))
	}
	return fmt.Sprintf("%s %s %s [%s]", run.ID, run.Sync, run.Source, strings.Join(changes, ", ")), nil
}

// Write answers by the row's number.
func (Prober) Write(request adapter.WriteRequest) ([]adapter.Outcome, error) {
	if request.Kind == "Broken" {
		panic("broken")
	}
	resource := "None"
	if request.Resource != "" {
		resource = "'" + request.Resource + "'"
	}
	names := func(names []string) string {
		return strings.ReplaceAll(strings.ReplaceAll(fmt.Sprintf("%q", names), `"`, "'"), " ", ", ")
	}
	facts := fmt.Sprintf("['%s', %s, '%s', %s, %s, %d]", request.Kind, resource, request.Operation, names(request.Identifiers),
		names(request.References), request.Count)
	return request.Outcomes(func(row adapter.Row) (adapter.Outcome, error) {
		switch row.Key["n"].(json.Number) {
		case "0":
			return adapter.Written(facts), nil
		case "1":
			return adapter.Staged(), nil
		case "2":
			return adapter.Unchanged(row.ID), nil
		case "3":
			failure := adapter.Errorf(adapter.Conflict, "no: %v", row.Fields["a"])
			failure.HTTPStatus = 409
			return adapter.Outcome{}, failure
		}
		panic("odd")
	})
}

// Commit refuses one kind.
func (Prober) Commit(kinds []string) error {
	if slices.Contains(kinds, "Bad") {
		return adapter.Errorf(adapter.Remote, "%s", strings.Join(kinds, " "))
	}
	return nil
}

// Finish tells what it was told.
func (Prober) Finish(run adapter.Run, result adapter.RunResult) (string, error) {
	if len(run.Changes) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s [%d, %d, %d, %d, %d, %d]", run.ID, result.Created, result.Updated, result.Deleted, result.Unchanged, result.Failed,
		result.Skipped), nil
}
