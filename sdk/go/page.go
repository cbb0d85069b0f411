package adapter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// LoadRequest asks for one page of a resource.
type LoadRequest struct {
	// Resource is the resource (dcim.devices), or the kind, as the manifest's addressing says.
	Resource string
	// Targets are the kinds that are made of this resource, with the fields that the project uses. Empty for a table or an inventory of ids.
	Targets []Target
	// Fields are the dotted paths that are read; name.* where a filter or transform may read anything below name, @owner for the sync that
	// made the object. The adapter may return more; id is always welcome.
	Fields []string
	// IDs: only these objects. Empty: no such limit. Only asked of an adapter whose manifest says ReadsIDs.
	IDs      []string
	PageSize uint32
	// Cursor is the Next of the page before as JSON; nil for the first page. CursorAs reads it.
	Cursor []byte
	// Since is the watermark of an earlier load: the adapter returns the records modified since then. An adapter that cannot tell returns
	// Unsupported. Empty: all records.
	Since string
}

// The path at which a read returns the sync that made an object.
const owner = "@owner"

// CursorAs reads the cursor, and says whether there is one: the first page has none.
func (r LoadRequest) CursorAs(value any) (bool, error) {
	if r.Cursor == nil {
		return false, nil
	}
	if err := json.Unmarshal(r.Cursor, value); err != nil {
		return false, Errorf(Internal, "the cursor is not from this adapter: %v", err)
	}
	return true, nil
}

// TopLevelFields returns the top-level names of the fields that are read (site.slug is site), each once, in order. @owner is not among them:
// see WantsOwner.
func (r LoadRequest) TopLevelFields() []string {
	names := []string{}
	for _, field := range r.Fields {
		name, _, _ := strings.Cut(field, ".")
		if name != "" && name != owner && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// WantsOwner says whether the name of the sync that made an object is asked for, at the path @owner.
func (r LoadRequest) WantsOwner() bool { return slices.Contains(r.Fields, owner) }

// Absence is the whereabouts of an object that a load did not return.
type Absence string

const (
	// AbsenceDeleted: the system says so, by its change log or by the id.
	AbsenceDeleted Absence = "deleted"
	// AbsencePresent: it exists and was not listed; the list moved, or a filter or permission hides it.
	AbsencePresent Absence = "present"
	// AbsenceUnknown: the system does not tell.
	AbsenceUnknown Absence = "unknown"
)

// Layout says how records lie in a document.
type Layout string

const (
	// JSON: one document; the records are the elements of the array (or the values of the object) at the pointer.
	JSON Layout = "json"
	// JSONLines: one JSON object a line.
	JSONLines Layout = "json-lines"
)

// Projected is the place of a field that is not at its own path.
type Projected struct {
	// Path is the requested dotted path.
	Path string
	// Pointer is its place within the record.
	Pointer string
}

// Page is a page of records. Document, Lines and Records make one.
type Page struct {
	// Response holds the records; nil when the adapter made them.
	Response   *Response
	Layout     Layout
	Pointer    string
	Projection []Projected
	// Made are the records that the adapter made, one JSON object a line.
	Made []byte
	// Next says where to continue: any value that can be written as JSON. Nil on the last page.
	Next any
	// Watermark is the Since of the next run, by the clock of the system, from before the load began. Read on the first page.
	Watermark string
	// Deleted, on the first page of a load with Since, are the ids of the objects deleted since then. Nil when the system does not tell.
	Deleted []string
	// Total, on the first page, is the number of objects that the resource has. Nil when the system does not tell.
	Total *uint64
	// Partial is the reason why the answer is incomplete, if the system says so. Objects that are missing from such a load are never deleted.
	// Empty: it is complete.
	Partial string
}

// Document makes a page whose records are the array (or the values of the object) at the pointer of the response's JSON. They stay with the
// host: by far the fastest.
func Document(response *Response, pointer string) Page {
	return Page{Response: response, Layout: JSON, Pointer: pointer}
}

// Lines makes a page whose records are the lines of the response, one JSON object each.
func Lines(response *Response) Page { return Page{Response: response, Layout: JSONLines} }

// Records makes a page of the adapter's own records: anything that can be written as JSON objects.
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
