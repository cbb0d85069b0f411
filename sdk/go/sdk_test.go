package adapter_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/adaptertest"
	"github.com/opsmill/infrahub-sync/sdk/go/files"
	"github.com/opsmill/infrahub-sync/sdk/go/host"
	"github.com/opsmill/infrahub-sync/sdk/go/log"
	"github.com/opsmill/infrahub-sync/sdk/go/memo"
)

var racks = adapter.Target{Kind: "Rack", Resource: "dcim.racks", Fields: []adapter.TargetField{
	{Name: "name", Identifier: true},
	{Name: "state", Path: "status.value"},
	{Name: "location", Path: "site", Peers: []string{"Site", "Room"}},
}}

func equal[T comparable](t *testing.T, found, wanted T) {
	t.Helper()
	if found != wanted {
		t.Fatalf("%v instead of %v", found, wanted)
	}
}

// words has the values with a space between them.
func words(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

func TestAQueryIsEncoded(t *testing.T) {
	query := adapter.NewQuery("/x/").With("q", "a&b=ü /+").With("fields", "id,name").With("limit", 1000).With("all", true)
	equal(t, query.String(), "/x/?q=a%26b%3D%C3%BC%20%2F%2B&fields=id,name&limit=1000&all=true")
	equal(t, adapter.NewQuery("/x?a=1").With("b", 2).String(), "/x?a=1&b=2")
	equal(t, adapter.PathSegment("a/b?c,d"), "a%2Fb%3Fc%2Cd")
}

func TestAStatusIsAKindOfFailure(t *testing.T) {
	for _, refusal := range []struct {
		status uint16
		kind   adapter.ErrorKind
		body   any
		words  string
	}{
		{401, adapter.Auth, `{"detail": "no  token"}`, ": no token"},
		{302, adapter.Remote, "", ""},
		{404, adapter.NotFound, "", ""},
		{412, adapter.Conflict, `{"error": {"a": 1}}`, `: {"a":1}`},
		{400, adapter.Invalid, strings.Repeat("x", 400), ": " + strings.Repeat("x", 300) + "…"},
		{503, adapter.Remote, "<html>", ""},
		{500, adapter.Remote, []byte{0xff}, ""},
	} {
		adaptertest.New(t).Respond("GET", "/x", refusal.status, refusal.body)
		_, err := adapter.Get("/x").Success("the list")
		equal(t, adapter.KindOf(err), refusal.kind)
		equal(t, err.Error(), fmt.Sprintf("the list: HTTP status %d%s", refusal.status, refusal.words))
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	for value, wanted := range map[string]time.Duration{" 7 ": 7 * time.Second, "Fri, 31 Dec 1999 23:59:59 GMT": 0} {
		adaptertest.New(t).Respond("GET", "/x", 429, "", map[string]string{"Retry-After": value})
		_, err := adapter.Get("/x").Success("x")
		var failure *adapter.Error
		if !errors.As(err, &failure) || failure.RetryAfter != wanted || failure.Kind != adapter.RateLimited {
			t.Fatal(err)
		}
	}
}

func TestARefusalSaysWhatToChange(t *testing.T) {
	acme := adapter.System{Name: "Acme", Credential: "token", Variable: "ACME_TOKEN", Address: "server"}
	headers := map[string]string{"Location": "https://acme.example.com/", "Retry-After": "3"}
	lacks := "`token` (ACME_TOKEN) is missing, wrong or expired, or lacks the permission"
	for _, refusal := range []struct {
		status  uint16
		kind    adapter.ErrorKind
		message string
	}{
		{401, adapter.Auth, "Acme denies access to `racks`: " + lacks},
		{403, adapter.Auth, "Acme denies access to `racks`: " + lacks},
		{301, adapter.Config, "`server` is not the address of Acme: it redirects to https://acme.example.com/"},
		{404, adapter.NotFound, "Acme has no `racks`"},
		{409, adapter.Conflict, "Acme rejects `racks` with HTTP status 409"},
		{429, adapter.RateLimited, "Acme asks for fewer requests: set a lower `max_concurrency`"},
		{422, adapter.Invalid, "Acme rejects `racks` with HTTP status 422"},
		{503, adapter.Remote, "Acme failed on `racks` with HTTP status 503"},
	} {
		mock := adaptertest.New(t)
		mock.Respond("GET", "/x", refusal.status, "<html>no</html>", headers)
		mock.Respond("GET", "/y", refusal.status, `{"detail": "the bell\n  tolls"}`, headers)
		_, err := acme.Success("racks", adapter.Get("/x"))
		var failure *adapter.Error
		if !errors.As(err, &failure) {
			t.Fatal(err)
		}
		equal(t, failure.Message, refusal.message)
		equal(t, *failure, adapter.Error{Kind: refusal.kind, Message: refusal.message, HTTPStatus: refusal.status, RetryAfter: 3 * time.Second})
		_, err = acme.Success("racks", adapter.Get("/y"))
		equal(t, strings.Contains(err.Error(), "(the bell tolls)"), refusal.status != 301)
		failure = acme.Refuse("racks", send(t, adapter.Get("/y")), "its own")
		equal(t, strings.Contains(failure.Message, "(its own)"), refusal.status != 301)
	}
	mock := adaptertest.New(t)
	mock.Respond("GET", "/x", 403, "")
	_, err := adapter.System{Name: "Acme"}.Success("racks", adapter.Get("/x"))
	equal(t, err.Error(), "Acme denies access to `racks`: the credential is missing, wrong or expired, or lacks the permission")
	mock.Respond("GET", "/ok", 200, "<html>Log in</html>", map[string]string{"Content-Type": "text/html"})
	response, err := acme.Success("racks", adapter.Get("/ok"))
	if err != nil {
		t.Fatal(err)
	}
	failure := acme.Unexpected("racks", response)
	equal(t, *failure, adapter.Error{Kind: adapter.Remote, HTTPStatus: 200, Message: failure.Message})
	equal(t, failure.Message, "the answer for `racks` is not from Acme (text/html): check that `server` is the address of Acme")
}

func TestAValueHasItsTypeAndAFailureItsPointer(t *testing.T) {
	mock := adaptertest.New(t)
	mock.Respond("GET", "/x", 200, `{"n": 7, "t": "x", "l": [1], "null": null}`)
	mock.Respond("GET", "/html", 200, "<html>")
	response := send(t, adapter.Get("/x"))
	var number uint64
	var text string
	var list []int
	var pointer *string
	for _, err := range []error{
		response.Get("/n", &number), response.Get("/t", &text), response.Get("/l", &list), response.Get("/null", &pointer),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	equal(t, words(number, text, list, pointer), "7 x [1] <nil>")
	for at, message := range map[string]string{
		"/t":    "the value at `/t` of the answer has the wrong type: json: cannot unmarshal string into Go value of type uint64",
		"/null": "the value at `/null` of the answer has the wrong type: it is null",
		"/none": "the answer has no JSON value at `/none`",
	} {
		err := response.Get(at, &number)
		equal(t, adapter.KindOf(err), adapter.Remote)
		equal(t, err.Error(), message)
	}
	equal(t, send(t, adapter.Get("/html")).Get("", &text).Error(), "the answer has no JSON value")
}

func TestTheDateOfAnAnswerIsRead(t *testing.T) {
	for text, wanted := range map[string]string{
		"Sun, 06 Nov 1994 08:49:37 GMT": "1994-11-06T08:49:37Z",
		"Tue, 29 Feb 2028 23:59:60 GMT": "2028-03-01T00:00:00Z",
		"Sun, 06 Nov 1994 08:49:37 CET": "",
		"Mon, 31 Feb 1994 08:49:37 GMT": "",
		"Sun, 06 Nov 1994 08:49:61 GMT": "",
		"Sun, 06 Nov":                   "",
		"":                              "",
	} {
		mock := adaptertest.New(t)
		mock.Respond("GET", "/x", 200, "", map[string]string{"Date": text})
		date, there := send(t, adapter.Get("/x")).Date()
		equal(t, there, wanted != "")
		if there {
			equal(t, date.Format(time.RFC3339), wanted)
		}
	}
}

func TestFieldsAreFoundByNameAndByPath(t *testing.T) {
	names := func(fields []adapter.TargetField) string {
		var names []string
		for _, field := range fields {
			names = append(names, field.Name)
		}
		return strings.Join(names, " ")
	}
	equal(t, racks.ResourceOrKind()+" "+adapter.Target{Kind: "Rack"}.ResourceOrKind(), "dcim.racks Rack")
	equal(t, names(racks.FieldsAt("site"))+", "+names(racks.FieldsAt("name"))+", "+names(racks.Identifiers()), "location, name, name")
	state, err := racks.KnownField("state")
	first, rest := state.SplitPath()
	equal(t, words(first, rest, err, state.IsReference(), racks.Fields[2].IsReference()), "status value <nil> false true")
	_, err = racks.KnownField("nope")
	equal(t, adapter.KindOf(err), adapter.Internal)
	equal(t, err.Error(), "the target `Rack` has no field `nope`")
}

func TestTheOwnerIsNotAField(t *testing.T) {
	request := adapter.LoadRequest{Fields: []string{"site.slug", "@owner", "name", "site.name"}}
	equal(t, words(request.TopLevelFields(), request.WantsOwner()), "[site name] true")
	request = adaptertest.FirstPageOf(racks)
	equal(t, words(request.Resource, request.Fields, len(request.Targets), request.WantsOwner()), "dcim.racks [name status.value site] 1 false")
}

func TestReferencesBecomeWhatTheSystemWants(t *testing.T) {
	site, _ := racks.Field("location")
	type object = map[string]any
	peer := object{"kind": "Site", "key": object{"name": "a"}, "id": "7", "resource": "sites", "of": []any{"Site", "Room"}}
	for _, each := range []struct {
		value any
		ids   string
	}{{peer, "7"}, {[]any{peer, peer}, "[7 7]"}, {[]any{}, "[]"}, {nil, "<nil>"}} {
		ids, err := site.WithPeers(each.value, adapter.PeerID)
		equal(t, words(ids, err), each.ids+" <nil>")
	}
	whole, err := site.WithPeers(peer, func(reference adapter.Reference) (any, error) { return words(reference), nil })
	equal(t, words(whole, err), "{Site map[name:a] 7 sites [Site Room]} <nil>")
	plain, err := racks.Fields[0].WithPeers("x", adapter.PeerID)
	equal(t, words(plain, err), "x <nil>")
	_, err = site.WithPeers([]any{peer, object{"kind": "Site", "key": object{"name": "Zürich"}}}, adapter.PeerID)
	equal(t, adapter.KindOf(err), adapter.NotFound)
	equal(t, err.Error(), "the object {\"name\":\"Zürich\"} of `Site`, to which it refers, is not in the system")
	_, err = site.WithPeers("x", adapter.PeerID)
	equal(t, adapter.KindOf(err), adapter.Internal)
}

// bisected returns the numbers of the rows of each request, and the outcomes.
func bisected(count int, send func(rows []string) ([]adapter.Outcome, error)) (sent, outcomes string, err error) {
	var rows []any
	for n := range count {
		rows = append(rows, map[string]any{"id": fmt.Sprint(n)})
	}
	var requests []string
	request := adaptertest.WriteRequest(racks, adapter.Create, rows...)
	id := func(row adapter.Row) (string, error) { return row.ID, nil }
	found, err := adapter.Bisect(request, id, func(ids []string) ([]adapter.Outcome, error) {
		requests = append(requests, strings.Join(ids, ""))
		return send(ids)
	})
	var words []string
	for _, outcome := range found {
		if outcome.Failure != nil {
			words = append(words, outcome.Failure.Message)
		} else {
			words = append(words, outcome.ID)
		}
	}
	return strings.Join(requests, " "), strings.Join(words, " "), err
}

func written(ids []string) []adapter.Outcome {
	var outcomes []adapter.Outcome
	for _, id := range ids {
		outcomes = append(outcomes, adapter.Written(id))
	}
	return outcomes
}

func TestARejectedBatchIsHalvedUntilTheRowsAtFaultAreAlone(t *testing.T) {
	sent, outcomes, err := bisected(7, func(ids []string) ([]adapter.Outcome, error) {
		if slices.Contains(ids, "2") || slices.Contains(ids, "6") {
			return nil, adapter.Errorf(adapter.Invalid, "bad%v", ids)
		}
		return written(ids), nil
	})
	equal(t, words(outcomes, err), "0 1 bad[2] 3 4 5 bad[6] <nil>")
	equal(t, sent, "0123456 012 0 12 1 2 3456 34 56 5 6")
	sent, outcomes, err = bisected(0, nil)
	equal(t, words(sent, outcomes, err), "  <nil>")
}

func TestAFailureThatIsNotOfTheRowsIsNotHalved(t *testing.T) {
	_, _, err := bisected(4, func([]string) ([]adapter.Outcome, error) { return nil, adapter.Errorf(adapter.Auth, "closed") })
	equal(t, adapter.KindOf(err), adapter.Auth)
	for at, wanted := range map[string]string{"0": strings.Repeat(" broken", 8)[1:], "2": "0 1" + strings.Repeat(" broken", 6)} {
		_, outcomes, err := bisected(8, func(ids []string) ([]adapter.Outcome, error) {
			if len(ids) > 2 {
				return nil, adapter.Errorf(adapter.Invalid, "bad")
			}
			if ids[0] == at {
				return nil, adapter.Errorf(adapter.Transport, "broken")
			}
			return written(ids), nil
		})
		equal(t, words(outcomes, err), wanted+" <nil>")
	}
}

func TestARowThatCannotBePreparedIsNotSent(t *testing.T) {
	mock := adaptertest.New(t)
	request := adaptertest.WriteRequest(racks, adapter.Create, map[string]any{"id": "0"}, map[string]any{}, map[string]any{"id": "2"},
		map[string]any{"id": "panic"})
	prepare := func(row adapter.Row) (string, error) {
		if row.ID == "panic" {
			panic("odd")
		}
		return row.KnownID()
	}
	outcomes, err := adapter.Bisect(request, prepare, func(ids []string) ([]adapter.Outcome, error) { return written(ids), nil })
	equal(t, words(outcomes[0], outcomes[1].Failure, outcomes[2], outcomes[3].Failure, err),
		"{written 0 <nil>} the id of this object is unknown {written 2 <nil>} panic: odd <nil>")
	equal(t, len(mock.Messages), 1)
}

func TestARowThatTheAnswerLeavesOutFailed(t *testing.T) {
	_, outcomes, err := bisected(2, func(ids []string) ([]adapter.Outcome, error) { return written(ids[:1]), nil })
	equal(t, words(outcomes, err), "0 the answer says nothing about this row <nil>")
}

func TestAValueIsMadeOnceInARun(t *testing.T) {
	mock := adaptertest.New(t)
	made := 0
	once := func() int {
		value, err := memo.Once("a", func() (int, error) { made++; return made, nil })
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	_, err := memo.Once("a", func() (int, error) { return 0, adapter.Errorf(adapter.Remote, "not now") })
	equal(t, adapter.KindOf(err), adapter.Remote)
	equal(t, words(once(), once()), "1 1")
	mock.NextRun()
	equal(t, once(), 2)
}

func answered(status uint16, body any) *adaptertest.Answer {
	return &adaptertest.Answer{Status: status, Body: body}
}

func always(answer *adaptertest.Answer) func(host.Request) *adaptertest.Answer {
	return func(host.Request) *adaptertest.Answer { return answer }
}

func send(t *testing.T, request *adapter.Request) *adapter.Response {
	t.Helper()
	response, err := request.Send()
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestARequestCarriesItsOptions(t *testing.T) {
	mock := adaptertest.New(t)
	mock.Handler = always(answered(200, "{}"))
	post := adapter.Post("/x", map[string]string{"a": "é"}).WithHeader("X-A", "1").WithHeader("x-a", "2").OnlyReads()
	send(t, post.UnprocessedIf("x-busy", "1").WithTimeout(5*time.Millisecond))
	send(t, adapter.Delete("/x"))
	send(t, adapter.Patch("/x", []int{}))
	sent := mock.Requests
	equal(t, string(sent[0].Body), `{"a":"é"}`)
	equal(t, fmt.Sprint(sent[0].Headers), "[{accept application/json} {content-type application/json} {x-a 2}]")
	equal(t, fmt.Sprint(sent[0].Idempotent, *sent[0].Unprocessed, sent[0].TimeoutMS), "true {x-busy 1} 5")
	equal(t, fmt.Sprint(sent[1].Idempotent, sent[2].Idempotent), "true false")
	if _, err := adapter.Post("/x", func() {}).Send(); adapter.KindOf(err) != adapter.Internal {
		t.Fatal(err)
	}
	mock.FailRequest(func(request host.Request) bool { return request.Method == "GET" })
	if _, err := adapter.Get("/x").Send(); adapter.KindOf(err) != adapter.Transport {
		t.Fatal(err)
	}
	send(t, adapter.Get("/x"))
}

func TestAResponseIsInvalidAfterItsRelease(t *testing.T) {
	adaptertest.New(t).Respond("GET", "/x", 200, `{"a/b": {"~": [1, null]}, "n": 9007199254740993}`)
	response := send(t, adapter.Get("/x"))
	found := response.JSON("/a~1b/~0/0", "/a~1b/~0/1", "/nothing", "/n")
	equal(t, *found[0]+*found[1]+*found[3], "1null9007199254740993")
	if count, is := response.Count("/a~1b/~0"); found[2] != nil || count != 2 || !is {
		t.Fatal(found, count, is)
	}
	var number uint64
	equal(t, response.Value("/n", &number), true)
	equal(t, number, 9007199254740993)
	equal(t, response.Value("/a~1b/~0/1", &number), false)
	response.Release()
	response.Release()
	equal(t, response.Status(), 200)
	_, failure := adapter.Answer(func() ([]byte, error) { return response.Body(), nil })
	equal(t, failure.Kind, adapter.Internal)
	equal(t, failure.Message, "panic: a response was used after it was released or handed back")
}

func TestTheEndOfACallReleasesItsResponses(t *testing.T) {
	adaptertest.New(t).Respond("GET", "/x", 200, "{}")
	left, failure := adapter.Answer(func() (*adapter.Response, error) { return adapter.Get("/x").Send() })
	if failure != nil {
		t.Fatal(failure)
	}
	if _, failure = adapter.Answer(func() ([]byte, error) { return left.Body(), nil }); failure == nil {
		t.Fatal("it was not")
	}
}

func TestAnyErrorIsAFailureWithItsText(t *testing.T) {
	mock := adaptertest.New(t)
	inner := adapter.Errorf(adapter.NotFound, "no %s", "rack")
	for _, each := range []struct {
		call func() (int, error)
		kind adapter.ErrorKind
		text string
	}{
		{func() (int, error) { return 0, inner }, adapter.NotFound, "no rack"},
		{func() (int, error) { return 0, fmt.Errorf("in room 7: %w", inner) }, adapter.NotFound, "in room 7: no rack"},
		{func() (int, error) { return 0, errors.New("odd") }, adapter.Internal, "odd"},
		{func() (int, error) { var none []int; return none[len(mock.Messages)], nil }, adapter.Internal,
			"panic: runtime error: index out of range [0] with length 0"},
	} {
		_, failure := adapter.Answer(each.call)
		equal(t, failure.Kind, each.kind)
		equal(t, failure.Message, each.text)
	}
	if text := mock.Messages[0].Text; !strings.Contains(text, "sdk_test.go") {
		t.Fatal(text)
	}
}

func TestInARunTheFirstValueStaysAndALastingOneIsReplaced(t *testing.T) {
	mock := adaptertest.New(t)
	var kept int
	for _, lifetime := range []memo.Lifetime{memo.Run, memo.Lasting} {
		for value := 1; value <= 2; value++ {
			if err := memo.Put(lifetime, "a", value, &kept); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, kept, map[memo.Lifetime]int{memo.Run: 1, memo.Lasting: 2}[lifetime])
	}
	mock.NextRun()
	there, err := memo.Get(memo.Run, "a", &kept)
	equal(t, there || err != nil, false)
	there, err = memo.Get(memo.Lasting, "a", &kept)
	equal(t, there && err == nil && kept == 2, true)
	var text string
	if _, err := memo.Get(memo.Lasting, "a", &text); err == nil {
		t.Fatal("a number was read as text")
	}
}

func TestLinesAreReadWhole(t *testing.T) {
	whole := "one\ntwo\n\nthree, the longest\nlast"
	adaptertest.New(t).Files["a"] = []byte(whole)
	for bytesMax := uint32(1); bytesMax < 40; bytesMax++ {
		read, offset := "", uint64(0)
		for more := true; more; {
			response, next, goesOn, err := files.ReadLines("a", offset, bytesMax)
			if err != nil {
				t.Fatal(err)
			}
			text := string(response.Body())
			equal(t, !goesOn || strings.HasSuffix(text, "\n"), true)
			read, offset, more = read+text, next, goesOn
		}
		equal(t, read, whole)
	}
}

func TestFilesStayInTheFolder(t *testing.T) {
	adaptertest.New(t)
	for _, err := range []error{files.Append("b", []byte("1")), files.Append("b", []byte("2")), files.Append("a", nil), files.Replace("b", "a")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	names, _ := files.List()
	equal(t, fmt.Sprint(names), "[a]")
	if _, err := files.Read("b"); adapter.KindOf(err) != adapter.NotFound {
		t.Fatal(err)
	}
	equal(t, adapter.KindOf(files.Append("../a", nil)), adapter.Config)
	equal(t, files.Remove("a") == nil && files.Remove("a") == nil, true)
}

func TestARowThatBreaksTheAdapterDoesNotBreakTheOthers(t *testing.T) {
	mock := adaptertest.New(t)
	type row = map[string]any
	request := adaptertest.WriteRequest(racks, adapter.Create, row{"id": "0"}, row{"key": row{"n": 1.5}}, row{"id": "2"})
	outcomes, err := request.Outcomes(func(row adapter.Row) (adapter.Outcome, error) {
		_ = row.ID[0]
		return adapter.Written(row.ID), nil
	})
	if err != nil || outcomes[0] != adapter.Written("0") || outcomes[2] != adapter.Written("2") {
		t.Fatal(outcomes, err)
	}
	equal(t, outcomes[1].Failure.Kind, adapter.Internal)
	equal(t, len(mock.Messages), 1)
}

func TestRecordsOfTheAdapterAreLines(t *testing.T) {
	page, err := adapter.Records([]map[string]string{{"name": "é <b>"}, {"name": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, string(page.Made), "{\"name\":\"é <b>\"}\n{\"name\":\"b\"}\n")
	records, err := adaptertest.Records(page)
	equal(t, err == nil && records[1]["name"] == "b", true)
	if _, err := adapter.Records([]func(){nil}); adapter.KindOf(err) != adapter.Internal {
		t.Fatal(err)
	}
}

func TestAMissingMethodIsUnsupportedOrDoesNothing(t *testing.T) {
	var base adapter.Base
	_, kinds := base.Kinds(nil)
	_, load := base.Load(adapter.LoadRequest{})
	_, write := base.Write(adapter.WriteRequest{})
	_, absent := base.Absent(racks, nil)
	for _, err := range []error{kinds, load, write, absent} {
		equal(t, adapter.KindOf(err), adapter.Unsupported)
	}
	begin, _ := base.Begin(adapter.Run{})
	finish, _ := base.Finish(adapter.Run{}, adapter.RunResult{})
	equal(t, begin+finish, "")
	equal(t, base.Commit(nil), nil)
	cascade, err := base.Cascade(racks, nil)
	equal(t, len(cascade) == 0 && err == nil, true)
}

func TestMessagesAreKept(t *testing.T) {
	mock := adaptertest.New(t)
	log.Infof("%d racks", 7)
	log.Warnf("b")
	equal(t, fmt.Sprint(mock.Messages), "[{info 7 racks} {warn b}]")
}
