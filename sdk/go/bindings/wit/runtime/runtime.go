//go:build wasip1

// Package runtime is the runtime of the generated bindings: memory for the values that the host hands over, and handles.
package runtime

import (
	"runtime"
	"unsafe"
)

// Handle is the number of a resource of the host; 0 after it was given away.
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
		panic("a handle is set twice, or to 0")
	}
	h.number = number
}

// Use returns the number.
func (h *Handle) Use() int32 {
	if h.number == 0 {
		panic("a handle is used after it was given away")
	}
	return h.number
}

// Take gives the number away.
func (h *Handle) Take() int32 {
	number := h.Use()
	h.number = 0
	return number
}

// TakeOrNil gives the number away; 0 if it was given away before.
func (h *Handle) TakeOrNil() int32 {
	number := h.number
	h.number = 0
	return number
}

// Allocate returns memory that stays in its place until the pinner releases it. The alignment is 1, 2, 4 or 8.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	var memory unsafe.Pointer
	if align == 1 {
		memory = unsafe.Pointer(unsafe.SliceData(make([]byte, size)))
	} else {
		// Words, which are aligned for every type of the contract.
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	}
	pinner.Pin(memory)
	return memory
}

// handed has the memory that the host was given, until a call has taken it over.
var handed runtime.Pinner

// Unpin releases the memory that the host was given: Go's own references keep alive the values in use.
func Unpin() { handed.Unpin() }

// Go's runtime can allocate once this package is initialised.
var started bool

func init() { started = true }

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// realloc gives memory to the host. Go's collector must not begin in here: it would ask for the time, which a component must not do while the
// host hands a value over. The SDK (collect.go) has switched it off.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host asks for memory to grow, which it never does")
	}
	if started {
		return Allocate(&handed, size, align)
	}
	// The adapter of WASI asks before Go is initialised: memory straight from the machine.
	memory := uintptr(sbrk(size + align))
	return unsafe.Pointer((memory + align - 1) &^ (align - 1))
}
