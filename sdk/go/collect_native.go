//go:build !wasip1

package adapter

// collect does nothing natively: there Go collects when it wants.
func collect() {}
