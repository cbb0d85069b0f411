package adapter

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Operation is the operation on the rows.
type Operation string

const (
	// Create makes new objects.
	Create Operation = "create"
	// Update changes fields of objects.
	Update Operation = "update"
	// Remove deletes objects; the contract calls it delete.
	Remove Operation = "delete"
)

// The system rejected the rows. Any other failure has another cause, and would come again for each half of them.
var rejections = []ErrorKind{Invalid, Conflict, NotFound}

// WriteRequest has rows of one target and one operation.
type WriteRequest struct {
	Target    Target
	Operation Operation
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
	// Fields are all set fields on create, the changed ones on update (nil clears), none on delete, by their names in the model.
	// TargetField.WithPeers reads references.
	Fields map[string]any `json:"fields"`
}

// KnownID returns the id of the object. The error is Invalid: the host does not know it.
func (r Row) KnownID() (string, error) {
	if r.ID == "" {
		return "", Errorf(Invalid, "the id of this object is unknown")
	}
	return r.ID, nil
}

// Outcome is the outcome of a row.
type Outcome struct {
	// Case is written, staged, unchanged or failed.
	Case string
	// ID is the system's id of the object; empty for none.
	ID string
	// Failure is the reason of a failed row.
	Failure *Error
}

// Written reports a row as written, with the id that the system gave, if it has ids.
func Written(id string) Outcome { return Outcome{Case: "written", ID: id} }

// Staged reports a row as accepted, and written when Commit succeeds.
func Staged() Outcome { return Outcome{Case: "staged"} }

// Unchanged reports that the destination has the wanted state already: nothing was sent.
func Unchanged(id string) Outcome { return Outcome{Case: "unchanged", ID: id} }

// Failed reports a row as rejected; the other rows are not affected.
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

// Outcomes writes row by row. An error that write returns is that row's failure, and so is a panic: the outcomes of the rows before it are
// kept.
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

// Bisect sends the rows in as few requests as possible. A batch that the system rejects as a whole is halved until the rows at fault are alone.
//
// prepare converts a row for send. If it returns an error, the row fails and is not sent.
//
// send sends one request and returns one outcome a row. An error of kind Invalid, Conflict or NotFound says that the system rejected the rows
// and wrote none of them. After any other error no further request is sent: it is the failure of the rows that have no outcome yet. If it comes
// from the first request, Bisect returns it: the outcome of every row is unknown.
func Bisect[T any](request WriteRequest, prepare func(row Row) (T, error), send func(rows []T) ([]Outcome, error)) ([]Outcome, error) {
	rows := make([]T, 0, request.Count)
	// The numbers of the prepared rows in the request.
	numbers := make([]int, 0, request.Count)
	outcomes := make([]Outcome, 0, request.Count)
	err := request.Each(func(row Row) error {
		prepared, err := guard(func() (T, error) { return prepare(row) })
		if err != nil {
			outcomes = append(outcomes, Failed(err))
			return nil
		}
		rows, numbers, outcomes = append(rows, prepared), append(numbers, len(outcomes)), append(outcomes, Outcome{})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var waiting [][2]int
	if len(rows) > 0 {
		waiting = append(waiting, [2]int{0, len(rows)})
	}
	rest := Errorf(Remote, "the answer says nothing about this row")
	for first := true; len(waiting) > 0; first = false {
		start, end := waiting[len(waiting)-1][0], waiting[len(waiting)-1][1]
		waiting = waiting[:len(waiting)-1]
		sent, err := guard(func() ([]Outcome, error) { return send(rows[start:end]) })
		rejected := slices.Contains(rejections, KindOf(err))
		switch {
		case err == nil:
			for at := range min(len(sent), end-start) {
				outcomes[numbers[start+at]] = sent[at]
			}
		case rejected && end-start > 1:
			middle := (start + end) / 2
			waiting = append(waiting, [2]int{middle, end}, [2]int{start, middle})
		case rejected:
			outcomes[numbers[start]] = Failed(err)
		case first:
			return nil, err
		default:
			rest, waiting = asError(err), nil
		}
	}
	for at := range outcomes {
		if outcomes[at].Case == "" {
			outcomes[at] = Failed(rest)
		}
	}
	return outcomes, nil
}

// Dependents are objects of one kind that a delete takes along.
type Dependents struct {
	// Kind is the kind; the resource where the system is addressed by mapping.
	Kind  string
	Count uint64
	// IDs are their ids, if the system tells them.
	IDs []string
}

// KindChanges are the rows that a run is going to write to a kind.
type KindChanges struct {
	Target                    Target
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
	// Changes has one entry for each kind and resource with changes.
	Changes []KindChanges
}

// RunResult is the outcome of a run, in rows.
type RunResult struct{ Created, Updated, Deleted, Unchanged, Failed, Skipped uint64 }
