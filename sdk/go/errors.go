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
	// Auth: the system rejected the credentials, or they do not permit this.
	Auth ErrorKind = "auth"
	// NotFound: the resource or object does not exist.
	NotFound ErrorKind = "not-found"
	// Conflict: the object exists already, or was modified by another user. From Load: the list moved, and is read again.
	Conflict ErrorKind = "conflict"
	// Invalid: the system rejected the data.
	Invalid ErrorKind = "invalid"
	// RateLimited: the system asks for fewer requests. The host has retried already.
	RateLimited ErrorKind = "rate-limited"
	// Transport: no answer (connection, name resolution, TLS, timeout).
	Transport ErrorKind = "transport"
	// Remote: the system failed, or sent an invalid answer.
	Remote ErrorKind = "remote"
	// Unsupported: the adapter cannot do this.
	Unsupported ErrorKind = "unsupported"
	// Internal: a defect of the adapter itself.
	Internal ErrorKind = "internal"
)

// Error is a failure. Message is one sentence for the user, without credentials.
type Error struct {
	Kind    ErrorKind
	Message string
	// HTTPStatus is the status that caused it; 0 for none.
	HTTPStatus uint16
	// RetryAfter is how long the system asked to wait; 0 when it did not.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf makes a failure of that kind.
func Errorf(kind ErrorKind, format string, arguments ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, arguments...)}
}

// KindOf returns the kind of an error: Internal where it is not an *Error, empty for nil.
func KindOf(err error) ErrorKind {
	if err == nil {
		return ""
	}
	return asError(err).Kind
}

// asError returns any error as a failure.
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

// ErrorFromResponse makes the failure that a response without success stands for, and releases the response. what names the requested resource.
//
// 401 and 403 are Auth, 404 and 410 NotFound, 409 and 412 Conflict, 429 RateLimited, other 4xx Invalid, all others Remote. A short text or JSON
// body is quoted. System has better words.
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

// Characters of a system's own text in a message: enough for a sentence, not for a page of HTML.
const detailCharsMax = 300

// detail returns the text of a refusal at a length for people: the usual JSON members, else a plain text; never HTML.
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
