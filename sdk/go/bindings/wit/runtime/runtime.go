//go:build wasip1

// Package runtime is what the generated bindings need of a runtime: memory for what the host hands over, and handles.
package runtime

import (
	"runtime"
	"unsafe"
)

// Handle is the number of a resource of the host; 0 once it was given away.
type Handle struct{ number int32 }

// MakeHandle makes a handle of a number.
func MakeHandle(number int32) *Handle {
	handle := &Handle{}
	handle.Set(number)
	return handle
}

// Set puts a number into an empty handle.
func (h *Handle) Set(number int32) {
	if number == 0 || h.number != 0 {
		panic("a handle is set twice, or to nothing")
	}
	h.number = number
}

// Use is the number.
func (h *Handle) Use() int32 {
	if h.number == 0 {
		panic("a handle is used that was given away")
	}
	return h.number
}

// Take gives the number away.
func (h *Handle) Take() int32 {
	number := h.Use()
	h.number = 0
	return number
}

// TakeOrNil gives the number away; 0 when that was done before.
func (h *Handle) TakeOrNil() int32 {
	number := h.number
	h.number = 0
	return number
}

// Allocate is memory that stays where it is until the pinner lets go of it. The alignment is 1, 2, 4 or 8.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	var memory unsafe.Pointer
	if align == 1 {
		memory = unsafe.Pointer(unsafe.SliceData(make([]byte, size)))
	} else {
		// Words, which are aligned for everything that the contract has.
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	}
	pinner.Pin(memory)
	return memory
}

// handed is what the host was given memory for, until a call has taken it over.
var handed runtime.Pinner

// Unpin lets go of what the host was given memory for: Go's own references keep alive what is still needed.
func Unpin() { handed.Unpin() }

// Go's runtime can allocate once this package is initialised.
var started bool

func init() { started = true }

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// realloc is where the host asks for memory. Go's collector must not begin in here, for it would ask for the time, which a component must not
// do while the host hands something over: the SDK (collect.go) has switched it off.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host wants memory to grow, which it never does")
	}
	if started {
		return Allocate(&handed, size, align)
	}
	// The adapter of WASI asks before Go is awake: memory straight from the machine.
	memory := uintptr(sbrk(size + align))
	return unsafe.Pointer((memory + align - 1) &^ (align - 1))
}
