// Package prober acts by the name of the resource: see tests/tests/languages.rs.
package prober

import (
	"encoding/json"
	"errors"
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

var system = adapter.System{Name: "the prober", Credential: "token", Variable: "PROBER_TOKEN"}

// halves writes a batch that has no bad row.
func halves(rows []string) ([]adapter.Outcome, error) {
	if slices.Contains(rows, "bad") {
		return nil, adapter.Errorf(adapter.Invalid, "one of %d is bad", len(rows))
	}
	var outcomes []adapter.Outcome
	for _, row := range rows {
		outcomes = append(outcomes, adapter.Written(fmt.Sprintf("%s of %d", row, len(rows))))
	}
	return outcomes, nil
}

func word(text string) string {
	if text == "" {
		return "None"
	}
	return text
}

func truth(value bool) string {
	if value {
		return "True"
	}
	return "False"
}

// textOf returns a target as text that is the same in each language.
func textOf(target adapter.Target) string {
	var fields []string
	for _, field := range target.Fields {
		parts := []string{field.Name, word(field.Path), strings.Join(field.Peers, "+"), truth(field.Many), truth(field.Identifier)}
		fields = append(fields, strings.Join(parts, "/"))
	}
	return fmt.Sprintf("%s@%s(%s)", target.Kind, word(target.Resource), strings.Join(fields, " "))
}

func manifest() adapter.Manifest {
	seven := "7"
	return adapter.Manifest{
		Name: "prober", Version: "1.2.3", Description: "acts by the name of the resource",
		Settings: []adapter.Setting{
			{Name: "url", Help: "an address"},
			{Name: "path", Help: "a folder"},
			{Name: "wish", Help: "a number", Type: adapter.Integer, Environment: []string{"WISH", "WISH2"}, Default: &seven},
			{Name: "branch", Help: "a branch", ProjectFirst: true, CommandLine: "branch"},
			{Name: "variables", Help: "names of variables", Type: adapter.AnyJSON},
			{Name: "token", Help: "a token", Secret: true, EnvironmentSetting: "variables"},
			{Name: "user", Help: "a name"},
			{Name: "password", Help: "a password", Secret: true},
		},
		AddressSetting: "url", FolderSetting: "path",
		Credentials: []adapter.Credential{
			{Header: []adapter.HeaderTemplate{
				{Name: "x-token", Template: "New {token}", Prefix: "new_"},
				{Name: "x-token", Template: "Old {token}"},
			}},
			{
				When:  &adapter.Condition{Setting: "wish", Values: []string{"8", "9"}},
				Basic: &adapter.Basic{UserSetting: "user", PasswordSetting: "password"},
			},
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
		ReadingPaths: []adapter.ReadingPath{{Path: "/results"}, {Path: "/graphql/*", GraphQL: true}},
		Aliases: []adapter.Alias{{Name: "verify", Setting: "verify_ssl", Environment: []string{"VERIFY"}}, {Name: "host", Setting: "url"}},
		Source:  adapter.ByKind, Destination: adapter.ByMapping,
		References: []adapter.ReferenceRule{adapter.RuleUniqueID, adapter.RuleFieldName, adapter.RulePeerColumns},
		Tables:     []adapter.Table{{Name: "node_name", Resource: "nodes", Key: "attributes.id", Value: "attributes.name"}},
		Lookup:     "find", Evidence: adapter.EvidenceTotal | adapter.EvidencePermissions, Ownership: true, ReadsIDs: true,
		Schema: true, PageSize: 7, WriteBatchMax: 8, WriteConcurrency: 3, HasIDs: true,
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
func (Prober) Kinds(targets []adapter.Target) ([]adapter.Kind, error) {
	kinds := []adapter.Kind{
		{
			Name: "Site", Identifiers: []string{"name"}, StandsFor: []string{"Place"}, CanCreate: true, CanUpdate: true,
			Fields: []adapter.Field{
				{Name: "name", Type: adapter.FieldText, Unique: true},
				{Name: "region", Type: adapter.FieldReference, Optional: true, References: []string{"Region", "Place"}},
				{Name: "state", Choices: []string{"a", "b"}, ReadOnly: true, Default: `"a"`},
			},
			Cascades: []adapter.Cascade{{Kind: "Rack", Field: "site"}, {Kind: "Note"}}, UniqueTogether: [][]string{{"region", "name"}},
		},
		{Name: "Region", CanCreate: true, CanUpdate: true, CanDelete: true},
	}
	return slices.DeleteFunc(kinds, func(kind adapter.Kind) bool {
		asked := func(target adapter.Target) bool { return target.Kind == kind.Name }
		return len(targets) > 0 && !slices.ContainsFunc(targets, asked)
	}), nil
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
	case "helpers":
		return helpers()
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
	targets := []string{}
	for _, target := range request.Targets {
		targets = append(targets, textOf(target))
	}
	page, err := one(map[string]any{
		"fields": request.Fields, "top": request.TopLevelFields(), "owner": request.WantsOwner(), "targets": targets, "ids": request.IDs,
		"size": request.PageSize, "cursor": cursor,
		"since": or(request.Since), "wish": p.settings["wish"], "settings": slices.Sorted(maps.Keys(p.settings)),
	})
	total := uint64(3)
	page.Next = map[string]any{"after": list{"é", 1}}
	page.Watermark, page.Deleted, page.Total, page.Partial = "now", []string{"7", "8"}, &total, "a part"
	return page, err
}

// Absent answers by the id.
func (Prober) Absent(target adapter.Target, ids []string) ([]adapter.Absence, error) {
	if target.Kind == "Broken" {
		return nil, adapter.Errorf(adapter.Remote, "no log of %s", textOf(target))
	}
	absences := map[string]adapter.Absence{"1": adapter.AbsenceDeleted, "2": adapter.AbsencePresent}
	var found []adapter.Absence
	for _, id := range ids {
		absence, known := absences[id]
		if !known {
			absence = adapter.AbsenceUnknown
		}
		found = append(found, absence)
	}
	return found, nil
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

func helpers() (adapter.Page, error) {
	found := list{}
	for _, made := range []list{{"é", 1}, {"another"}} {
		kept, err := memo.Once("made", func() (list, error) { return made, nil })
		if err != nil {
			return adapter.Page{}, err
		}
		found = append(found, kept)
	}
	response, err := system.Success("results", adapter.Get("/results"))
	if err != nil {
		return adapter.Page{}, err
	}
	var total int
	var results list
	if err := errors.Join(response.Get("/total", &total), response.Get("/results", &results)); err != nil {
		return adapter.Page{}, err
	}
	_, dated := response.Date()
	missing := response.Get("/nothing", &total)
	refused, err := adapter.Get("/refused").Send()
	if err != nil {
		return adapter.Page{}, err
	}
	return one(append(found, total, results[1], dated, missing.Error(), system.Unexpected("results", response).Message,
		system.Refuse("refused", refused, "").Message))
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

// garbage makes so much of it that Go would begin a collection while the host hands over a body, many times. It returns the number of
// collections.
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

// Begin returns the run as text.
func (Prober) Begin(run adapter.Run) (string, error) {
	var changes []string
	for _, change := range run.Changes {
		changes = append(changes, fmt.Sprintf("['%s', %d, %d, %d]", textOf(change.Target), change.Creates, change.Updates, change.Deletes))
	}
	return fmt.Sprintf("%s %s %s [%s]", run.ID, run.Sync, run.Source, strings.Join(changes, ", ")), nil
}

// Write answers by the row's number.
func (Prober) Write(request adapter.WriteRequest) ([]adapter.Outcome, error) {
	if request.Target.Kind == "Broken" {
		panic("broken")
	}
	if request.Target.Kind == "Halves" {
		return adapter.Bisect(request, func(row adapter.Row) (string, error) { return row.Fields["a"].(string), nil }, halves)
	}
	facts := fmt.Sprintf("['%s', '%s', %d]", textOf(request.Target), request.Operation, request.Count)
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

// Commit rejects one kind.
func (Prober) Commit(kinds []string) error {
	if slices.Contains(kinds, "Bad") {
		return adapter.Errorf(adapter.Remote, "%s", strings.Join(kinds, " "))
	}
	return nil
}

// Cascade returns the same for all objects.
func (Prober) Cascade(target adapter.Target, ids []string) ([]adapter.Dependents, error) {
	if target.Kind == "Broken" {
		return nil, adapter.Errorf(adapter.Remote, "no cascades of %s", textOf(target))
	}
	return []adapter.Dependents{{Kind: "Rack", Count: 1 << 33, IDs: ids}, {Kind: "notes", Count: 1}}, nil
}

// Finish returns the result as text.
func (Prober) Finish(run adapter.Run, result adapter.RunResult) (string, error) {
	if len(run.Changes) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s [%d, %d, %d, %d, %d, %d]", run.ID, result.Created, result.Updated, result.Deleted, result.Unchanged, result.Failed,
		result.Skipped), nil
}
