package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrorKind says what went wrong, as far as the host must act on it.
type ErrorKind string

const (
	// Config: a setting or the mapping asks for something that cannot work; the user must change config.yml.
	Config ErrorKind = "config"
	// Auth: the credentials were refused, or do not permit this.
	Auth ErrorKind = "auth"
	// NotFound: the resource or object does not exist.
	NotFound ErrorKind = "not-found"
	// Conflict: the object exists already, or somebody else changed it.
	Conflict ErrorKind = "conflict"
	// Invalid: the system refused the data.
	Invalid ErrorKind = "invalid"
	// RateLimited: the system asks for fewer requests. The host has retried already.
	RateLimited ErrorKind = "rate-limited"
	// Transport: there was no answer.
	Transport ErrorKind = "transport"
	// Remote: the system failed, or answered something that is no valid answer.
	Remote ErrorKind = "remote"
	// Unsupported: the adapter cannot do this.
	Unsupported ErrorKind = "unsupported"
	// Internal: a defect of the adapter.
	Internal ErrorKind = "internal"
)

// Error is a failure. Message is one sentence for a person, without credentials.
type Error struct {
	Kind    ErrorKind
	Message string
	// HTTPStatus is what caused it; 0 for none.
	HTTPStatus uint16
	// RetryAfter is how long the system asked to wait; 0 when it did not.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf makes a failure of that kind.
func Errorf(kind ErrorKind, format string, arguments ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, arguments...)}
}

// KindOf is the kind of an error: Internal where it is no *Error, empty for nil.
func KindOf(err error) ErrorKind {
	if err == nil {
		return ""
	}
	return asError(err).Kind
}

// asError has any error as a failure.
func asError(err error) *Error {
	var failure *Error
	if errors.As(err, &failure) {
		if text := err.Error(); text != failure.Message {
			// It was wrapped: the words around it belong to it.
			wrapped := *failure
			wrapped.Message = text
			return &wrapped
		}
		return failure
	}
	return Errorf(Internal, "%v", err)
}

// ErrorFromResponse says what a response that is no success means; what says what was asked for. The response is released.
//
// 401 and 403 are Auth, 404 and 410 NotFound, 409 and 412 Conflict, 429 RateLimited, other 4xx Invalid, all else Remote. A short text or JSON
// body is quoted.
func ErrorFromResponse(what string, response *Response) *Error {
	status := response.Status()
	failure := Errorf(kindOfStatus(status), "%s: HTTP status %d", what, status)
	failure.HTTPStatus = status
	if detail := response.Detail(); detail != "" {
		failure.Message += ": " + detail
	}
	if after, there := response.Header("retry-after"); there {
		if seconds, err := strconv.ParseUint(strings.TrimSpace(after), 10, 31); err == nil {
			failure.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	response.Release()
	return failure
}

func kindOfStatus(status uint16) ErrorKind {
	switch {
	case status == 401 || status == 403:
		return Auth
	case status == 404 || status == 410:
		return NotFound
	case status == 409 || status == 412:
		return Conflict
	case status == 429:
		return RateLimited
	case status >= 400 && status < 500:
		return Invalid
	default:
		return Remote
	}
}

// Most of a refusal's own words that go into a message: enough for a sentence, not for a page of HTML.
const detailCharsMax = 300

// detail is a person-sized piece of a refusal's body: the usual JSON members, else a plain text; never HTML.
func detail(response *Response) string {
	text := ""
	found := false
	for _, each := range response.JSON("/detail", "/error", "/message", "") {
		if each == nil {
			continue
		}
		found = true
		if json.Unmarshal([]byte(*each), &text) != nil {
			text = *each
		}
		break
	}
	if !found {
		body := response.Body()
		text = string(body)
		if !utf8.Valid(body) || strings.HasPrefix(strings.TrimSpace(text), "<") {
			return ""
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if characters := []rune(text); len(characters) > detailCharsMax {
		return string(characters[:detailCharsMax]) + "…"
	}
	return text
}
