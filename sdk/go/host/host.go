// Package host has the abilities of an adapter: the real host in a component, a mock host (package adaptertest) natively. It uses the
// contract's own terms. Authors of adapters never name anything in here.
package host

import "fmt"

// Header is a header of a request.
type Header struct{ Name, Value string }

// Request is a request as the contract has it.
type Request struct {
	Method, URL string
	Headers     []Header
	// Body is nil for none.
	Body []byte
	// TimeoutMS is 0 for the host's own.
	TimeoutMS  uint32
	Idempotent bool
	// Unprocessed is nil for none.
	Unprocessed *Header
}

// Response is a response as the contract has it.
type Response interface {
	Status() uint16
	Header(name string) (string, bool)
	// JSON has nil where a pointer leads nowhere.
	JSON(pointers []string) []*string
	Count(pointer string) (uint32, bool)
	Body() []byte
	Release()
}

// Error is an answer of the host in place of a response: the contract's case, and its value.
type Error struct {
	Case string
	Text string
	// Number is the limit, in the cases that have one.
	Number uint64
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Case, e.Text) }

// Host has the imports of the contract.
type Host interface {
	Send(request Request) (Response, *Error)
	List() ([]string, *Error)
	Read(path string) (Response, *Error)
	// ReadLines returns where the next line begins, and whether there is one.
	ReadLines(path string, offset uint64, bytesMax uint32) (Response, uint64, bool, *Error)
	Append(path string, data []byte) *Error
	Replace(from, to string) *Error
	Remove(path string) *Error
	Log(level, message string)
	MemoGet(lifetime, key string) ([]byte, bool)
	MemoPut(lifetime, key string, value []byte) []byte
}

var current Host

// Use sets the host.
func Use(host Host) { current = host }

// Current returns the host.
func Current() Host {
	if current == nil {
		panic("there is no host: a test imports the package adaptertest")
	}
	return current
}
