package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// Request is a request, which the host sends: it adds the credentials, checks the address, keeps connections, retries and limits. A response is
// final. A URL is a path below the configured address, beginning with "/", or an absolute one of the same origin.
type Request struct {
	raw host.Request
	err error
}

// NewRequest makes a request without a body that asks for JSON. The URL is a string or a *Query.
func NewRequest(method string, url any) *Request {
	reads := slices.Contains([]string{"GET", "HEAD", "PUT", "DELETE"}, method)
	headers := []host.Header{{Name: "accept", Value: "application/json"}}
	return &Request{raw: host.Request{Method: method, URL: fmt.Sprint(url), Headers: headers, Idempotent: reads}}
}

// Get makes a GET.
func Get(url any) *Request { return NewRequest("GET", url) }

// Post makes a POST of a JSON body.
func Post(url, body any) *Request { return NewRequest("POST", url).WithJSON(body) }

// Patch makes a PATCH of a JSON body.
func Patch(url, body any) *Request { return NewRequest("PATCH", url).WithJSON(body) }

// Delete makes a DELETE.
func Delete(url any) *Request { return NewRequest("DELETE", url) }

// WithHeader sets a header. It replaces one of the same name.
func (r *Request) WithHeader(name, value string) *Request {
	r.raw.Headers = slices.DeleteFunc(r.raw.Headers, func(header host.Header) bool { return strings.EqualFold(header.Name, name) })
	r.raw.Headers = append(r.raw.Headers, host.Header{Name: name, Value: value})
	return r
}

// WithJSON sets a JSON body.
func (r *Request) WithJSON(body any) *Request {
	r.raw.Body, r.err = json.Marshal(body)
	return r.WithHeader("content-type", "application/json")
}

// WithBody sets a body.
func (r *Request) WithBody(body []byte) *Request {
	r.raw.Body = body
	return r
}

// WithTimeout sets a shorter limit for this request than the host's.
func (r *Request) WithTimeout(limit time.Duration) *Request {
	r.raw.TimeoutMS = uint32(limit.Milliseconds())
	return r
}

// OnlyReads says that this request only reads, so the host may send it twice.
func (r *Request) OnlyReads() *Request {
	r.raw.Idempotent = true
	return r
}

// UnprocessedIf names the header of a 429 or 503 answer that proves that the request was not executed. The host then repeats a request that does
// not only read only after an answer with this header. Without it: after any 429.
func (r *Request) UnprocessedIf(header, value string) *Request {
	r.raw.Unprocessed = &host.Header{Name: header, Value: value}
	return r
}

// Send sends it and waits. A response of any status counts as a success here: see Success.
//
// The error is Config when the host denies it, Auth when the login is rejected, Transport without an answer, Remote when the answer is too
// large, Internal for a mistake of the adapter.
func (r *Request) Send() (*Response, error) {
	what := r.raw.Method + " " + r.raw.URL
	if r.err != nil {
		return nil, Errorf(Internal, "the body of %s cannot be written as JSON: %v", what, r.err)
	}
	collect()
	raw, refused := host.Current().Send(r.raw)
	if refused == nil {
		return NewResponse(raw), nil
	}
	switch refused.Case {
	case "denied":
		return nil, Errorf(Config, "%s", refused.Text)
	case "login-failed":
		return nil, Errorf(Auth, "%s", refused.Text)
	case "transport", "timeout":
		return nil, Errorf(Transport, "%s", refused.Text)
	case "too-large":
		return nil, Errorf(Remote, "the answer to %s is larger than the limit of %d bytes", what, refused.Number)
	case "too-many-responses":
		return nil, Errorf(Internal, "the adapter already holds %d responses, which is the limit: release some", refused.Number)
	default:
		return nil, Errorf(Internal, "%s is not a valid request: %s", what, refused.Text)
	}
}

// Success sends it and returns a success (2xx); for any other status see ErrorFromResponse. what names the requested resource.
func (r *Request) Success(what string) (*Response, error) {
	response, err := r.Send()
	if err != nil {
		return nil, err
	}
	if !response.IsSuccess() {
		return nil, ErrorFromResponse(what, response)
	}
	return response, nil
}

// Response is a response of a request or of a file. The body stays in host memory until the adapter asks for a part of it.
//
// The handle lives for the call in which it was received: hand it back in a page, or release it. The end of the call releases the others. The
// host keeps a limited number at a time, so release responses before you ask for many.
type Response struct {
	raw    host.Response
	status uint16
}

// The responses of the current call. Go's collector, which would drop them, runs between calls only.
var held = map[*Response]struct{}{}

// NewResponse wraps a response of the host. The packages of this module need it; authors do not.
func NewResponse(raw host.Response) *Response {
	response := &Response{raw: raw, status: raw.Status()}
	held[response] = struct{}{}
	return response
}

// errGone is the failure of a response that is used too late.
var errGone = errors.New("a response was used after it was released or handed back")

func (r *Response) live() host.Response {
	if r.raw == nil {
		panic(errGone)
	}
	return r.raw
}

// Take takes the handle away, to hand it back to the host. The code of the component needs it; authors do not.
func (r *Response) Take() host.Response {
	raw := r.live()
	r.raw = nil
	delete(held, r)
	return raw
}

// Status returns the HTTP status; 200 for a file. It stays after the release.
func (r *Response) Status() uint16 { return r.status }

// IsSuccess says whether the status is a success (2xx).
func (r *Response) IsSuccess() bool { return r.status >= 200 && r.status < 300 }

// Header returns the value of a header, whatever its case; the first one of several.
func (r *Response) Header(name string) (string, bool) { return r.live().Header(name) }

// Date returns the time of the system when it answered, and whether there is one: the header Date.
func (r *Response) Date() (time.Time, bool) {
	value, _ := r.Header("date")
	// RFC 9110. A leap second counts as the first one of the next minute.
	text, leap := strings.CutSuffix(value, ":60 GMT")
	if leap {
		text += ":59 GMT"
	} else {
		text = value
	}
	date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", text)
	if leap {
		date = date.Add(time.Second)
	}
	return date, err == nil
}

// JSON returns the JSON text at each RFC 6901 pointer, in one pass over the body; nil where the pointer leads nowhere. The empty pointer is the
// whole body.
func (r *Response) JSON(pointers ...string) []*string { return r.live().JSON(pointers) }

// Get reads the value at a pointer into value. The error is Remote: the answer has no such value. It names the pointer.
func (r *Response) Get(pointer string, value any) error {
	text := r.JSON(pointer)[0]
	failure := Errorf(Remote, "the answer has no JSON value")
	failure.HTTPStatus = r.status
	if text == nil {
		if pointer != "" {
			failure.Message += fmt.Sprintf(" at `%s`", pointer)
		}
		return failure
	}
	err := json.Unmarshal([]byte(*text), value)
	// Go reads null into anything, and leaves it as it was.
	if target := reflect.ValueOf(value); err == nil && *text == "null" && target.Kind() == reflect.Pointer {
		if !slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice}, target.Elem().Kind()) {
			err = errors.New("it is null")
		}
	}
	if err != nil {
		failure.Message = fmt.Sprintf("the value at `%s` of the answer has the wrong type: %v", pointer, err)
		return failure
	}
	return nil
}

// Value reads the value at a pointer, and says whether there is one that fits. Null fits nothing.
func (r *Response) Value(pointer string, value any) bool {
	text := r.JSON(pointer)[0]
	return text != nil && *text != "null" && json.Unmarshal([]byte(*text), value) == nil
}

// Count returns the number of elements of the array at the pointer; false where there is no array.
func (r *Response) Count(pointer string) (uint32, bool) { return r.live().Count(pointer) }

// Body returns the whole body, copied into the adapter. For small bodies.
func (r *Response) Body() []byte { return r.live().Body() }

// Parse parses the whole body as JSON. This costs many times as much as handing the response back: for small bodies. The error is Remote: it is
// not such JSON.
func (r *Response) Parse(value any) error {
	if err := json.Unmarshal(r.Body(), value); err != nil {
		return Errorf(Remote, "the answer cannot be read: %v", err)
	}
	return nil
}

// Release frees the memory before the call ends.
func (r *Response) Release() {
	if r.raw != nil {
		r.Take().Release()
	}
}

// Detail returns the system's own words about a refusal, as one short line: `detail`, `error` or `message` of a JSON body, else the JSON or the
// plain text itself, never HTML; empty for none.
func (r *Response) Detail() string { return detail(r) }

// Query is a path with a query: NewQuery("/api/dcim/devices/").With("limit", 1000).
type Query struct{ url strings.Builder }

// NewQuery starts with a path, which is not encoded again.
func NewQuery(path string) *Query {
	query := &Query{}
	query.url.WriteString(path)
	return query
}

// With adds a pair. Name and value are percent-encoded.
func (q *Query) With(name string, value any) *Query {
	separator := "?"
	if strings.Contains(q.url.String(), "?") {
		separator = "&"
	}
	q.url.WriteString(separator + percent(name, ",") + "=" + percent(fmt.Sprint(value), ","))
	return q
}

func (q *Query) String() string { return q.url.String() }

// PathSegment encodes a text as one segment of a path.
func PathSegment(text string) string { return percent(text, "") }

// percent encodes all characters but the unreserved ones of RFC 3986 and those of also: in a query the comma, which separates lists.
func percent(text, also string) string {
	var encoded strings.Builder
	for _, letter := range []byte(text) {
		switch {
		case 'A' <= letter && letter <= 'Z', 'a' <= letter && letter <= 'z', '0' <= letter && letter <= '9',
			strings.IndexByte("-._~"+also, letter) >= 0:
			encoded.WriteByte(letter)
		default:
			fmt.Fprintf(&encoded, "%%%02X", letter)
		}
	}
	return encoded.String()
}
