// Package memo keeps small values with the host: instances are created and dropped, and any of them may serve any call.
//
// Values belong to this component and its granted address. A value may be dropped at any time, so it can only save work. A value is anything
// that can be written as JSON. A key has up to 256 bytes, a value up to 8 MiB, all values of a lifetime together 32 MiB; the host does not keep
// more.
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

// Get reads the value under a key into value, and says whether there is one.
func Get(lifetime Lifetime, key string, value any) (bool, error) {
	kept, there := host.Current().MemoGet(string(lifetime), key)
	if !there {
		return false, nil
	}
	if err := json.Unmarshal(kept, value); err != nil {
		return false, fmt.Errorf("the value kept as %q is of another type: %w", key, err)
	}
	return true, nil
}

// Put stores a value and reads the stored one into kept, which may be nil: within a run the first value stays; a lasting one is replaced. A
// value over the host's limits is not stored and is returned as given.
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
		return fmt.Errorf("the value kept as %q is of another type: %w", key, err)
	}
	return nil
}

// Once returns the value that this run keeps under a key, and makes it when there is none yet: a request that all instances need once. A failure
// is not kept.
func Once[T any](key string, make func() (T, error)) (T, error) {
	var kept T
	if there, err := Get(Run, key, &kept); there || err != nil {
		return kept, err
	}
	made, err := make()
	if err != nil {
		return made, err
	}
	err = Put(Run, key, made, &kept)
	return kept, err
}
