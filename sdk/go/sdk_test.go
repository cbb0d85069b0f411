package adapter_test

import (
	"errors"
	"fmt"
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

func equal[T comparable](t *testing.T, found, wanted T) {
	t.Helper()
	if found != wanted {
		t.Fatalf("%v instead of %v", found, wanted)
	}
}

func TestAQueryIsEncoded(t *testing.T) {
	query := adapter.NewQuery("/x/").With("q", "a&b=ü /+").With("fields", "id,name").With("limit", 1000).With("all", true)
	equal(t, query.String(), "/x/?q=a%26b%3D%C3%BC%20%2F%2B&fields=id,name&limit=1000&all=true")
	equal(t, adapter.NewQuery("/x?a=1").With("b", 2).String(), "/x?a=1&b=2")
	equal(t, adapter.PathSegment("a/b?c,d"), "a%2Fb%3Fc%2Cd")
}

func TestAStatusHasItsCaseAndItsWords(t *testing.T) {
	for _, refusal := range []struct {
		status uint16
		kind   adapter.ErrorKind
		body   any
		words  string
	}{
		{401, adapter.Auth, `{"detail": "no  token"}`, ": no token"},
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

func TestHowLongToWaitIsTold(t *testing.T) {
	host := adaptertest.New(t)
	for value, wanted := range map[string]time.Duration{" 7 ": 7 * time.Second, "Fri, 31 Dec 1999 23:59:59 GMT": 0} {
		answer := answered(429, "")
		answer.Headers = map[string]string{"Retry-After": value}
		host.Handler = always(answer)
		_, err := adapter.Get("/x").Success("x")
		var failure *adapter.Error
		if !errors.As(err, &failure) || failure.RetryAfter != wanted || failure.Kind != adapter.RateLimited {
			t.Fatal(err)
		}
	}
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

func TestARequestSaysWhatItIs(t *testing.T) {
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

func TestAResponseIsOfNoUseAfterItsRelease(t *testing.T) {
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

func TestWhatACallLeavesIsReleased(t *testing.T) {
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

func TestARowThatBreaksTheAdapterDoesNotTakeTheOthersWithIt(t *testing.T) {
	mock := adaptertest.New(t)
	type row = map[string]any
	request := adaptertest.Write("K", adapter.Create, row{"id": "0"}, row{"key": row{"n": 1.5}}, row{"id": "2"})
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

func TestRecordsOfOnesOwnAreLines(t *testing.T) {
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

func TestWhatAnAdapterDoesNotImplementIsUnsupportedOrNothing(t *testing.T) {
	var base adapter.Base
	_, kinds := base.Kinds(nil)
	_, load := base.Load(adapter.LoadRequest{})
	_, write := base.Write(adapter.WriteRequest{})
	for _, err := range []error{kinds, load, write} {
		equal(t, adapter.KindOf(err), adapter.Unsupported)
	}
	begin, _ := base.Begin(adapter.Run{})
	finish, _ := base.Finish(adapter.Run{}, adapter.RunResult{})
	equal(t, begin+finish, "")
	equal(t, base.Commit(nil), nil)
}

func TestMessagesAreKept(t *testing.T) {
	mock := adaptertest.New(t)
	log.Infof("%d racks", 7)
	log.Warnf("b")
	equal(t, fmt.Sprint(mock.Messages), "[{info 7 racks} {warn b}]")
}
