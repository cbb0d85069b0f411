// Package log has words for the person who runs the sync.
package log

import (
	"fmt"

	"github.com/opsmill/infrahub-sync/sdk/go/host"
)

// Tracef tells what only somebody who follows every step wants to know.
func Tracef(format string, arguments ...any) { tell("trace", format, arguments) }

// Debugf tells what helps to find a defect.
func Debugf(format string, arguments ...any) { tell("debug", format, arguments) }

// Infof tells what was done.
func Infof(format string, arguments ...any) { tell("info", format, arguments) }

// Warnf tells what a person may act on.
func Warnf(format string, arguments ...any) { tell("warn", format, arguments) }

// Errorf tells what went wrong and is told nowhere else.
func Errorf(format string, arguments ...any) { tell("error", format, arguments) }

func tell(level, format string, arguments []any) {
	host.Current().Log(level, fmt.Sprintf(format, arguments...))
}
