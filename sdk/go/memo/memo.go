// Package memo keeps small values with the host: instances come and go, and any of them may be asked for anything.
//
// What is kept belongs to this very component and the address that it was granted. It may be gone at any time, a lasting value also between
// two runs: it saves work, and is never the only place of anything. A value is anything that can be written as JSON. A key has up to 256
// bytes, a value up to 8 MiB, all values of a lifetime together 32 MiB; what is more is not kept.
package memo

import (
	"encoding/json"
	"fmt"

	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// Lifetime says how long a value is kept.
type Lifetime string

const (
	// Run: as long as this command runs; all instances of this side see it.
	Run Lifetime = "run"
	// Lasting: for later runs, too.
	Lasting Lifetime = "lasting"
)

// Get reads what is kept under a key into value, and says whether anything is.
func Get(lifetime Lifetime, key string, value any) (bool, error) {
	kept, there := host.Current().MemoGet(string(lifetime), key)
	if !there {
		return false, nil
	}
	if err := json.Unmarshal(kept, value); err != nil {
		return false, fmt.Errorf("what is kept as %q is of another type: %w", key, err)
	}
	return true, nil
}

// Put keeps a value and reads the one that is kept into kept, which may be nil: in a run the first one stays, a lasting one is replaced. A
// value that the host does not keep, because it is too large, comes back all the same.
func Put(lifetime Lifetime, key string, value, kept any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%q cannot be kept as JSON: %w", key, err)
	}
	answer := host.Current().MemoPut(string(lifetime), key, text)
	if kept == nil {
		return nil
	}
	if err := json.Unmarshal(answer, kept); err != nil {
		return fmt.Errorf("what is kept as %q is of another type: %w", key, err)
	}
	return nil
}
