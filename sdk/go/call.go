package adapter

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// This file connects the bindings with the Adapter interface. Authors do not need it.

// Describe returns the manifest. A panic here ends the instance, and the host shows its text.
func Describe() Manifest {
	if exportedManifest == nil {
		panic("no adapter is exported: call adapter.Export from an init function")
	}
	return exportedManifest()
}

var configured Adapter

// Configure makes the adapter of this instance.
func Configure(settings []byte) *Error {
	_, failure := Answer(func() (struct{}, error) {
		var err error
		configured, err = exportedConfigure(settings)
		return struct{}{}, err
	})
	return failure
}

// Answer runs a call of the host to its end: any error or panic is a failure. It releases the responses that the call has left.
func Answer[T any](call func() (T, error)) (T, *Error) {
	collect()
	value, err := guard(call)
	for response := range held {
		response.Release()
	}
	if err != nil {
		return value, asError(err)
	}
	return value, nil
}

// Call runs a call of the host on the configured adapter.
func Call[T any](call func(adapter Adapter) (T, error)) (T, *Error) {
	return Answer(func() (T, error) {
		if configured == nil {
			var none T
			return none, Errorf(Internal, "the adapter was called before it was configured")
		}
		return call(configured)
	})
}

// guard turns a panic, which would end the instance, into an error with its text; its stack goes to the log.
func guard[T any](call func() (T, error)) (value T, err error) {
	defer func() {
		panicked := recover()
		if panicked == nil {
			return
		}
		host.Current().Log("error", fmt.Sprintf("panic: %v\n%s", panicked, debug.Stack()))
		var failure *Error
		if known, is := panicked.(error); is && errors.As(known, &failure) {
			err = known
			return
		}
		err = Errorf(Internal, "panic: %v", panicked)
	}()
	return call()
}
