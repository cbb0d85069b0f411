// Package files is the one folder that the project granted. Paths are relative, with "/"; they cannot lead out of the folder.
package files

import (
	adapter "github.com/opsmill/infrahub-sync/sdk/go"
	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// failed makes a failure that the host can act on. An error of the operating system is Remote: the folder is the system here.
func failed(path string, refused *host.Error) error {
	switch {
	case refused == nil:
		return nil
	case refused.Case == "denied":
		return adapter.Errorf(adapter.Config, "%s", refused.Text)
	case refused.Case == "not-found":
		return adapter.Errorf(adapter.NotFound, "there is no file `%s`", path)
	case refused.Case == "too-large":
		return adapter.Errorf(adapter.Config, "`%s` is larger than the limit of %d bytes", path, refused.Number)
	default:
		return adapter.Errorf(adapter.Remote, "`%s`: %s", path, refused.Text)
	}
}

// List returns the names of the files in the folder, sorted, without sub-folders.
func List() ([]string, error) {
	names, refused := host.Current().List()
	return names, failed(".", refused)
}

// Read reads a whole file; the bytes stay with the host.
func Read(path string) (*adapter.Response, error) {
	response, refused := host.Current().Read(path)
	if refused != nil {
		return nil, failed(path, refused)
	}
	return adapter.NewResponse(response), nil
}

// ReadLines reads whole lines from offset, up to about bytesMax bytes (always at least one line), and returns where the next line begins; more
// is false at the end of the file.
func ReadLines(path string, offset uint64, bytesMax uint32) (response *adapter.Response, next uint64, more bool, err error) {
	raw, next, more, refused := host.Current().ReadLines(path, offset, bytesMax)
	if refused != nil {
		return nil, 0, false, failed(path, refused)
	}
	return adapter.NewResponse(raw), next, more, nil
}

// Append appends to a file. It creates a missing file.
func Append(path string, data []byte) error { return failed(path, host.Current().Append(path, data)) }

// Replace replaces a file by a finished one, atomically and durably.
func Replace(from, to string) error { return failed(from, host.Current().Replace(from, to)) }

// Remove removes a file. A missing file is not an error.
func Remove(path string) error { return failed(path, host.Current().Remove(path)) }
