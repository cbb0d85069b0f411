//go:build !wasip1

package adapter

// collect has nothing to do natively: Go collects by itself.
func collect() {}
