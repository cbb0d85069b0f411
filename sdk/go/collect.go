//go:build wasip1

package adapter

import (
	"runtime"
	"runtime/debug"
)

// The bytes that may be allocated between two collections. The sandbox grants 256 MiB, and a page that an adapter parses takes ten times its size.
const garbageMax = 32 << 20

// A collection that begins while the host hands a value over asks for the time, which a component must not do then: it ends the instance
// ("cannot leave component instance"). So Go never begins one of its own; collect does, where it is allowed.
func init() { debug.SetGCPercent(-1) }

var (
	memory runtime.MemStats
	live   uint64
)

// collect collects garbage, if there may be much. It is called where the adapter itself runs: at the beginning of a call, before a request.
func collect() {
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc < live+garbageMax {
		return
	}
	runtime.GC()
	runtime.ReadMemStats(&memory)
	live = memory.HeapAlloc
}
