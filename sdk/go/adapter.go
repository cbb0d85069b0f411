// Package adapter is the SDK for infrahub-sync adapters in Go. The author's guide is the README beside it.
//
// The contract itself, with a comment on every item, is wit/adapter.wit; this package hides the code that is generated from it.
package adapter

// Adapter is an adapter: how its system is read and written. Embed Base, which has the methods that an adapter does not need.
//
// The host makes an instance and may make several; any of them may serve any page. So do not keep in it what a later call needs: state travels
// in the cursor, or is kept by the host (package memo).
//
// An error that is not an *Error, and a panic, become an Internal one with its text; the panic's stack goes to the log.
type Adapter interface {
	// Kinds returns the kinds of the targets, or all kinds when there are no targets. Only called when the manifest says Schema. Names of
	// kinds and fields are those of the targets: a system that is addressed by mapping answers for Resource and Path. Leave out a kind that
	// the system does not have.
	Kinds(targets []Target) ([]Kind, error)
	// Load reads one page. Nothing is kept between calls.
	Load(request LoadRequest) (Page, error)
	// Absent says of objects that an earlier run had read and this one did not whether they are deleted, in the order of the ids. Called
	// when the manifest names evidence beyond EvidenceTotal.
	Absent(target Target, ids []string) ([]Absence, error)
	// Begin prepares a run. Called once before the first write, also when there is nothing to write: the place to remove leftovers of an
	// interrupted run, and to check what would be rejected. The text, unless it is empty, is shown to the user.
	Begin(run Run) (string, error)
	// Write writes a batch of rows of one target and one operation. It returns one outcome a row, in their order (WriteRequest.Outcomes and
	// Bisect help). An error means that the outcome of every row is unknown: a rejected row is an outcome, Failed.
	Write(request WriteRequest) ([]Outcome, error)
	// Commit makes the rows of these kinds durable that Write reported as Staged. An adapter that writes at once needs no Commit.
	Commit(kinds []string) error
	// Cascade returns what a delete of these objects takes along in the system, beyond the ids themselves. Asked before a plan with deletes
	// is made, of kinds with Cascades.
	Cascade(target Target, ids []string) ([]Dependents, error)
	// Finish ends a run. Called once after the last commit of a run that completed, also when rows were rejected. The text, unless it is
	// empty, is shown to the user.
	Finish(run Run, result RunResult) (string, error)
}

// Base has the methods that an adapter does not need.
type Base struct{}

// Kinds is unsupported.
func (Base) Kinds([]Target) ([]Kind, error) {
	return nil, Errorf(Unsupported, "this adapter does not know the kinds of its system")
}

// Load is unsupported.
func (Base) Load(LoadRequest) (Page, error) {
	return Page{}, Errorf(Unsupported, "this adapter cannot be read")
}

// Absent is unsupported.
func (Base) Absent(Target, []string) ([]Absence, error) {
	return nil, Errorf(Unsupported, "this adapter has no evidence of deletions")
}

// Begin does nothing.
func (Base) Begin(Run) (string, error) { return "", nil }

// Write is unsupported.
func (Base) Write(WriteRequest) ([]Outcome, error) {
	return nil, Errorf(Unsupported, "this adapter cannot write")
}

// Commit does nothing.
func (Base) Commit([]string) error { return nil }

// Cascade returns nothing.
func (Base) Cascade(Target, []string) ([]Dependents, error) { return nil, nil }

// Finish does nothing.
func (Base) Finish(Run, RunResult) (string, error) { return "", nil }

var (
	exportedManifest  func() Manifest
	exportedConfigure func(settings []byte) (Adapter, error)
)

// Export sets the adapter of this component; call it from an init function. manifest describes it. The host calls it before anything else: no
// network, no files, no settings. configure receives the settings of config.yml, the text of one JSON object without the secrets; its error is
// reported as one of config.yml.
func Export(manifest func() Manifest, configure func(settings []byte) (Adapter, error)) {
	exportedManifest, exportedConfigure = manifest, configure
}
