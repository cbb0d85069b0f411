// Package adapter is what an author of an infrahub-sync adapter in Go imports. The author's guide is the README beside it.
//
// The contract itself, with a comment on every item, is wit/adapter.wit; this package keeps an author away from the code that is generated
// from it.
package adapter

// Adapter is an adapter: how its system is read and written. Embed Base, which answers what an adapter does not implement.
//
// The host makes an instance and may make several; any of them may be asked for any page. So nothing that a later call needs may be kept in
// it: state travels in the cursor, or is kept by the host (package memo).
//
// An error that is no *Error, and a panic, become an Internal one with its text; the panic's stack goes to the log.
type Adapter interface {
	// Kinds has the kinds named, or all when there are no names; an unknown name is left out. Only called when the manifest says Schema.
	Kinds(names []string) ([]Kind, error)
	// Load reads one page. Nothing is kept between calls.
	Load(request LoadRequest) (Page, error)
	// Begin is called once before the first write of a run, also when there is nothing to write: the place to clear away what an
	// interrupted run left, and to find out what would be refused. The text, unless it is empty, is told to the user.
	Begin(run Run) (string, error)
	// Write writes a batch of rows of one kind and one operation, and answers one outcome a row, in their order (WriteRequest.Outcomes
	// helps). An error means that nothing is known about any row: a refused row is an outcome, Failed.
	Write(request WriteRequest) ([]Outcome, error)
	// Commit makes the rows of these kinds durable that were answered as Staged. An adapter that writes at once has nothing to do here.
	Commit(kinds []string) error
	// Finish is called once after the last commit of a run that came to its end, also when rows were refused. The text, unless it is
	// empty, is told to the user.
	Finish(run Run, result RunResult) (string, error)
}

// Base answers what an adapter does not implement.
type Base struct{}

// Kinds is unsupported.
func (Base) Kinds([]string) ([]Kind, error) {
	return nil, Errorf(Unsupported, "this adapter does not know the kinds of its system")
}

// Load is unsupported.
func (Base) Load(LoadRequest) (Page, error) {
	return Page{}, Errorf(Unsupported, "this adapter cannot be read")
}

// Begin does nothing.
func (Base) Begin(Run) (string, error) { return "", nil }

// Write is unsupported.
func (Base) Write(WriteRequest) ([]Outcome, error) {
	return nil, Errorf(Unsupported, "this adapter cannot write")
}

// Commit does nothing.
func (Base) Commit([]string) error { return nil }

// Finish does nothing.
func (Base) Finish(Run, RunResult) (string, error) { return "", nil }

var (
	exportedManifest  func() Manifest
	exportedConfigure func(settings []byte) (Adapter, error)
)

// Export says what adapter this component is; it is called from an init function. manifest describes it: no network, no files, no settings
// may be used, for that is the first thing the host asks. configure takes the settings of config.yml, the text of one JSON object without the
// secrets; its error is shown as one of config.yml.
func Export(manifest func() Manifest, configure func(settings []byte) (Adapter, error)) {
	exportedManifest, exportedConfigure = manifest, configure
}
