package adapter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// LoadRequest says what to read.
type LoadRequest struct {
	// Resource is the resource (dcim.devices), or the kind, as the manifest's addressing says.
	Resource string
	// Fields are the dotted paths that the mapping reads. The adapter may return more; id is always welcome.
	Fields []string
	// Model has the kind's fields as the model has them, when a destination is read back.
	Model    []ModelField
	PageSize uint32
	// Cursor is the Next of the page before as JSON; nil for the first page. CursorAs reads it.
	Cursor []byte
	// Since is what an earlier load returned as watermark: only records that changed since are wanted. An adapter that cannot tell answers
	// Unsupported. Empty: everything.
	Since string
}

// ModelField is a field of a kind as the model has it.
type ModelField struct {
	Name        string
	IsReference bool
}

// CursorAs reads the cursor, and says whether there is one: the first page has none.
func (r LoadRequest) CursorAs(value any) (bool, error) {
	if r.Cursor == nil {
		return false, nil
	}
	if err := json.Unmarshal(r.Cursor, value); err != nil {
		return false, Errorf(Internal, "the cursor is not one of this adapter: %v", err)
	}
	return true, nil
}

// TopLevelFields are the top-level names of the fields that the mapping reads (site.slug is site), each once, in order.
func (r LoadRequest) TopLevelFields() []string {
	names := []string{}
	for _, field := range r.Fields {
		name, _, _ := strings.Cut(field, ".")
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Layout says how records lie in a document.
type Layout string

const (
	// JSON: one document; the records are the elements of the array (or the values of the object) at the pointer.
	JSON Layout = "json"
	// JSONLines: one JSON object a line.
	JSONLines Layout = "json-lines"
)

// Projected says where a field lies that is not at its own path.
type Projected struct {
	// Path is the dotted path that was asked for.
	Path string
	// Pointer is where it lies within the record.
	Pointer string
}

// Page is a page of records. Document, Lines and Records make one.
type Page struct {
	// Response holds the records; nil when the adapter made them itself.
	Response   *Response
	Layout     Layout
	Pointer    string
	Projection []Projected
	// Made are the records that the adapter made itself, one JSON object a line.
	Made []byte
	// Next says where to go on: any value that can be written as JSON. Nil on the last page.
	Next any
	// Watermark is what to hand over as Since next time; by the clock of the system, from before the load began. Read on the first page.
	Watermark string
	// Deleted, on the first page of a load with Since, are the ids of the objects deleted since then. Nil when the system does not tell.
	Deleted []string
	// Total, on the first page, is the number of objects that the resource has. Nil when the system does not tell.
	Total *uint64
}

// Document is a page whose records are the array (or the values of the object) at the pointer of the response's JSON. They stay with the
// host: by far the fastest.
func Document(response *Response, pointer string) Page {
	return Page{Response: response, Layout: JSON, Pointer: pointer}
}

// Lines is a page whose records are the lines of the response, one JSON object each.
func Lines(response *Response) Page { return Page{Response: response, Layout: JSONLines} }

// Records is a page whose records the adapter made: anything that can be written as JSON objects.
func Records[T any](records []T) (Page, error) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, record := range records {
		if err := encoder.Encode(record); err != nil {
			return Page{}, Errorf(Internal, "a record cannot be written as JSON: %v", err)
		}
	}
	return Page{Made: lines.Bytes()}, nil
}
