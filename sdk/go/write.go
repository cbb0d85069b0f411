package adapter

import (
	"bytes"
	"encoding/json"
)

// Operation is what is done with the rows.
type Operation string

const (
	// Create makes new objects.
	Create Operation = "create"
	// Update changes fields of objects.
	Update Operation = "update"
	// Remove deletes objects; the contract calls it delete.
	Remove Operation = "delete"
)

// WriteRequest has rows of one kind and one operation.
type WriteRequest struct {
	Kind string
	// Resource is the mapping's `mapping:`, for systems that are addressed by it; empty for none.
	Resource  string
	Operation Operation
	// Identifiers are the fields of the natural key, in order.
	Identifiers []string
	// References are the fields that are references.
	References []string
	// Rows are the rows as the host wrote them, one JSON object a line. Each reads them.
	Rows  []byte
	Count uint32
}

// Row is a row of a write. Numbers are json.Number, so that none is changed on the way.
type Row struct {
	// Key is the natural key: identifier to value.
	Key map[string]any `json:"key"`
	// ID is the system's own id of the object; empty when the host does not know it.
	ID string `json:"id"`
	// Fields are all set fields on create, the changed ones on update (nil clears), none on delete. A reference is
	// {"kind": "…", "key": {…}, "id": "…"}.
	Fields map[string]any `json:"fields"`
}

// Outcome is what became of a row.
type Outcome struct {
	// Case is written, staged, unchanged or failed.
	Case string
	// ID is the system's id of the object; empty for none.
	ID string
	// Failure is why it failed.
	Failure *Error
}

// Written: it is done; the id that the system gave, if it has ids.
func Written(id string) Outcome { return Outcome{Case: "written", ID: id} }

// Staged: it is done once Commit succeeds.
func Staged() Outcome { return Outcome{Case: "staged"} }

// Unchanged: what was wanted is there already; nothing was sent.
func Unchanged(id string) Outcome { return Outcome{Case: "unchanged", ID: id} }

// Failed: this row was refused; others are not affected.
func Failed(err error) Outcome { return Outcome{Case: "failed", Failure: asError(err)} }

// Each reads the rows one at a time.
func (r WriteRequest) Each(do func(row Row) error) error {
	for line := range bytes.SplitSeq(r.Rows, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var row Row
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&row); err != nil {
			return Errorf(Internal, "a row cannot be read: %v", err)
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

// Outcomes writes row by row. An error that write returns is that row's failure, and so is a panic: what became of the rows before it is not
// lost.
func (r WriteRequest) Outcomes(write func(row Row) (Outcome, error)) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, r.Count)
	err := r.Each(func(row Row) error {
		outcome, err := guard(func() (Outcome, error) { return write(row) })
		if err != nil {
			outcome = Failed(err)
		}
		outcomes = append(outcomes, outcome)
		return nil
	})
	return outcomes, err
}

// KindChanges is what a run is going to write to a kind, in rows.
type KindChanges struct {
	Kind                      string
	Creates, Updates, Deletes uint64
}

// Run is a run that is about to write.
type Run struct {
	// ID is the run's id, as in the cache.
	ID string
	// Sync is the project's `name`.
	Sync string
	// Source is the `name` of the project's source.
	Source string
	// Changes has the kinds that get something.
	Changes []KindChanges
}

// RunResult is what became of a run, in rows.
type RunResult struct{ Created, Updated, Deleted, Unchanged, Failed, Skipped uint64 }
