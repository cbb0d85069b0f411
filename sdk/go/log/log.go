// Package log sends messages to the user; they go to stderr with the adapter's name.
package log

import (
	"fmt"

	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// Tracef logs a step.
func Tracef(format string, arguments ...any) { send("trace", format, arguments) }

// Debugf logs a detail that helps to find a defect.
func Debugf(format string, arguments ...any) { send("debug", format, arguments) }

// Infof logs an action that is done.
func Infof(format string, arguments ...any) { send("info", format, arguments) }

// Warnf logs a warning that the user may act on.
func Warnf(format string, arguments ...any) { send("warn", format, arguments) }

// Errorf logs an error that is reported nowhere else.
func Errorf(format string, arguments ...any) { send("error", format, arguments) }

func send(level, format string, arguments []any) {
	host.Current().Log(level, fmt.Sprintf(format, arguments...))
}
