// Package adaptertest is a mock host for an adapter's own unit tests: it answers registered requests, keeps files and memos in memory, and
// records requests and messages. It has no limits: only a run shows what the sandbox denies.
package adaptertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// Answer is the answer to a request.
type Answer struct {
	Status  uint16
	Headers map[string]string
	// Body is bytes, text, or any value that can be written as JSON.
	Body any
}

// Message is a message that was logged.
type Message struct{ Level, Text string }

// Host is a mock host.
type Host struct {
	// Requests are those that were sent.
	Requests []host.Request
	// Messages are those that were logged.
	Messages []Message
	// Files are in the folder.
	Files map[string][]byte
	// Handler answers the requests without an answer of their own; nil is no answer.
	Handler func(host.Request) *Answer

	answers map[string][]Answer
	breaks  []func(host.Request) bool
	memos   map[string][]byte
}

// New sets a mock host of its own for a test.
func New(*testing.T) *Host {
	made := &Host{Files: map[string][]byte{}, answers: map[string][]Answer{}, memos: map[string][]byte{}}
	host.Use(made)
	return made
}

// Respond registers the answer to a request, with headers if given. The URL must be the same text. Several answers to the same request are
// given in order; the last one repeats.
func (h *Host) Respond(method, url string, status uint16, body any, headers ...map[string]string) {
	key := method + " " + url
	answer := Answer{Status: status, Headers: map[string]string{}, Body: body}
	for _, each := range headers {
		maps.Copy(answer.Headers, each)
	}
	h.answers[key] = append(h.answers[key], answer)
}

// FailRequest makes the next request for which breaks returns true fail in transport, once: as if the connection broke, so that it is unknown
// whether the request arrived.
func (h *Host) FailRequest(breaks func(host.Request) bool) { h.breaks = append(h.breaks, breaks) }

// NextRun begins another run: it drops the values of the run and keeps the lasting ones.
func (h *Host) NextRun() {
	for key := range h.memos {
		if strings.HasPrefix(key, "run ") {
			delete(h.memos, key)
		}
	}
}

// FirstPage makes a request for the first page.
func FirstPage(resource string, fields ...string) adapter.LoadRequest {
	return adapter.LoadRequest{Resource: resource, Fields: fields, PageSize: 1000}
}

// FirstPageOf makes a request for the first page of a target: its resource, and the paths of its fields.
func FirstPageOf(target adapter.Target) adapter.LoadRequest {
	request := FirstPage(target.ResourceOrKind())
	request.Targets = []adapter.Target{target}
	for _, field := range target.Fields {
		request.Fields = append(request.Fields, field.ReadPath())
	}
	return request
}

// WriteRequest makes a write of these rows: values that can be written as JSON.
func WriteRequest(target adapter.Target, operation adapter.Operation, rows ...any) adapter.WriteRequest {
	var lines bytes.Buffer
	for _, row := range rows {
		lines.Write(bytesOf(row))
		lines.WriteByte('\n')
	}
	return adapter.WriteRequest{Target: target, Operation: operation, Rows: lines.Bytes(), Count: uint32(len(rows))}
}

// LoadAll reads all pages. It returns their records as the host sees them.
func LoadAll(from adapter.Adapter, request adapter.LoadRequest) ([]map[string]any, error) {
	var records []map[string]any
	for {
		page, err := from.Load(request)
		if err != nil {
			return nil, err
		}
		more, err := Records(page)
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
		if page.Next == nil {
			return records, nil
		}
		// The host hands it over as JSON.
		if request.Cursor, err = json.Marshal(page.Next); err != nil {
			return nil, err
		}
	}
}

// Records returns the records of a page. The error says that the payload breaks the contract.
func Records(page adapter.Page) ([]map[string]any, error) {
	lines := page.Made
	if page.Response != nil {
		if page.Layout == adapter.JSON {
			var records []map[string]any
			found := page.Response.JSON(page.Pointer)[0]
			if found == nil {
				return nil, fmt.Errorf("there is no value at %q", page.Pointer)
			}
			if json.Unmarshal([]byte(*found), &records) == nil {
				return records, nil
			}
			var byName map[string]map[string]any
			if err := json.Unmarshal([]byte(*found), &byName); err != nil {
				return nil, fmt.Errorf("neither a list nor an object at %q: %w", page.Pointer, err)
			}
			for _, record := range byName {
				records = append(records, record)
			}
			return records, nil
		}
		lines = page.Response.Body()
	}
	var records []map[string]any
	for line := range bytes.Lines(lines) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, fmt.Errorf("a line is not JSON: %w", err)
		}
		records = append(records, record)
	}
	return records, nil
}

func bytesOf(body any) []byte {
	switch body := body.(type) {
	case nil:
		return nil
	case []byte:
		return body
	case string:
		return []byte(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		return text
	}
}

// response is a response of the mock host.
type response struct {
	status  uint16
	headers map[string]string
	body    []byte
}

func (r *response) Status() uint16 { return r.status }

func (r *response) Header(name string) (string, bool) {
	for key, value := range r.headers {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

func (r *response) at(pointer string) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch container := value.(type) {
		case map[string]any:
			inner, there := container[token]
			if !there {
				return nil, false
			}
			value = inner
		case []any:
			at, err := strconv.Atoi(token)
			if err != nil || at < 0 || at >= len(container) {
				return nil, false
			}
			value = container[at]
		default:
			return nil, false
		}
	}
	return value, true
}

func (r *response) JSON(pointers []string) []*string {
	texts := make([]*string, len(pointers))
	for at, pointer := range pointers {
		if value, there := r.at(pointer); there {
			text := string(must(json.Marshal(value)))
			texts[at] = &text
		}
	}
	return texts
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func (r *response) Count(pointer string) (uint32, bool) {
	value, _ := r.at(pointer)
	list, is := value.([]any)
	return uint32(len(list)), is
}

func (r *response) Body() []byte { return slices.Clone(r.body) }

func (r *response) Release() {}

// Send answers a request.
func (h *Host) Send(request host.Request) (host.Response, *host.Error) {
	h.Requests = append(h.Requests, request)
	what := request.Method + " " + request.URL
	for at, breaks := range h.breaks {
		if breaks(request) {
			h.breaks = slices.Delete(h.breaks, at, at+1)
			return nil, &host.Error{Case: "transport", Text: what + ": the connection broke, as the test asked"}
		}
	}
	var answer *Answer
	if registered := h.answers[what]; len(registered) > 0 {
		answer = &registered[0]
		if len(registered) > 1 {
			h.answers[what] = registered[1:]
		}
	} else if h.Handler != nil {
		answer = h.Handler(request)
	}
	if answer == nil {
		return nil, &host.Error{Case: "transport", Text: "no answer is registered for " + what}
	}
	return &response{answer.Status, answer.Headers, bytesOf(answer.Body)}, nil
}

func inFolder(path string) *host.Error {
	if strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path, "/"), "..") {
		return &host.Error{Case: "denied", Text: "`" + path + "` leads out of the folder"}
	}
	return nil
}

// List returns the names of the files.
func (h *Host) List() ([]string, *host.Error) {
	var names []string
	for path := range h.Files {
		if !strings.Contains(path, "/") {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (h *Host) contents(path string) ([]byte, *host.Error) {
	if refused := inFolder(path); refused != nil {
		return nil, refused
	}
	data, there := h.Files[path]
	if !there {
		return nil, &host.Error{Case: "not-found"}
	}
	return data, nil
}

// Read reads a file.
func (h *Host) Read(path string) (host.Response, *host.Error) {
	data, refused := h.contents(path)
	if refused != nil {
		return nil, refused
	}
	return &response{status: 200, body: data}, nil
}

// ReadLines reads a part of a file.
func (h *Host) ReadLines(path string, offset uint64, bytesMax uint32) (host.Response, uint64, bool, *host.Error) {
	data, refused := h.contents(path)
	if refused != nil {
		return nil, 0, false, refused
	}
	start := min(int(offset), len(data))
	end := min(start+int(bytesMax), len(data))
	if end < len(data) {
		// The last whole line within the limit, else the first one after it.
		if last := bytes.LastIndexByte(data[start:end], '\n'); last >= 0 {
			end = start + last + 1
		} else if first := bytes.IndexByte(data[end:], '\n'); first >= 0 {
			end += first + 1
		} else {
			end = len(data)
		}
	}
	return &response{status: 200, body: data[start:end]}, uint64(end), end < len(data), nil
}

// Append appends to a file.
func (h *Host) Append(path string, data []byte) *host.Error {
	if refused := inFolder(path); refused != nil {
		return refused
	}
	h.Files[path] = append(slices.Clone(h.Files[path]), data...)
	return nil
}

// Replace replaces a file by another one.
func (h *Host) Replace(from, to string) *host.Error {
	data, refused := h.contents(from)
	if refused == nil {
		refused = inFolder(to)
	}
	if refused != nil {
		return refused
	}
	delete(h.Files, from)
	h.Files[to] = data
	return nil
}

// Remove removes a file.
func (h *Host) Remove(path string) *host.Error {
	if refused := inFolder(path); refused != nil {
		return refused
	}
	delete(h.Files, path)
	return nil
}

// Log records a message.
func (h *Host) Log(level, message string) { h.Messages = append(h.Messages, Message{level, message}) }

// MemoGet returns a value.
func (h *Host) MemoGet(lifetime, key string) ([]byte, bool) {
	value, there := h.memos[lifetime+" "+key]
	return value, there
}

// MemoPut stores a value.
func (h *Host) MemoPut(lifetime, key string, value []byte) []byte {
	name := lifetime + " " + key
	if kept, there := h.memos[name]; there && lifetime == "run" {
		return kept
	}
	h.memos[name] = value
	return value
}
