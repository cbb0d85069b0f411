// Package types has the contract's generic types as the generated bindings name them.
package types

// Tags of an Option.
const (
	OptionNone uint8 = iota
	OptionSome
)

// Option is a value or none.
type Option[T any] struct {
	tag   uint8
	value T
}

// None makes an Option without a value.
func None[T any]() Option[T] { return Option[T]{} }

// Some makes an Option with a value.
func Some[T any](value T) Option[T] { return Option[T]{OptionSome, value} }

// Tag returns OptionNone or OptionSome.
func (o Option[T]) Tag() uint8 { return o.tag }

// IsSome says whether there is a value.
func (o Option[T]) IsSome() bool { return o.tag == OptionSome }

// IsNone says whether there is none.
func (o Option[T]) IsNone() bool { return o.tag == OptionNone }

// Some returns the value, which must be there.
func (o Option[T]) Some() T {
	if o.tag != OptionSome {
		panic("an option has no value")
	}
	return o.value
}

// SomeOr returns the value, or another one where there is none.
func (o Option[T]) SomeOr(other T) T {
	if o.tag == OptionSome {
		return o.value
	}
	return other
}

// Tags of a Result.
const (
	ResultOk uint8 = iota
	ResultErr
)

// Result is a value or an error.
type Result[T, E any] struct {
	tag   uint8
	value T
	err   E
}

// Ok makes a Result that is a value.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{tag: ResultOk, value: value} }

// Err makes a Result that is an error.
func Err[T, E any](err E) Result[T, E] { return Result[T, E]{tag: ResultErr, err: err} }

// Tag returns ResultOk or ResultErr.
func (r Result[T, E]) Tag() uint8 { return r.tag }

// IsOk says whether it is a value.
func (r Result[T, E]) IsOk() bool { return r.tag == ResultOk }

// IsErr says whether it is an error.
func (r Result[T, E]) IsErr() bool { return r.tag == ResultErr }

// Ok returns the value, which must be there.
func (r Result[T, E]) Ok() T {
	if r.tag != ResultOk {
		panic("a result is an error, not a value")
	}
	return r.value
}

// Err returns the error, which must be there.
func (r Result[T, E]) Err() E {
	if r.tag != ResultErr {
		panic("a result is a value, not an error")
	}
	return r.err
}

// Tuple1 is a tuple of one.
type Tuple1[T0 any] struct{ F0 T0 }

// Tuple2 is a pair.
type Tuple2[T0, T1 any] struct {
	F0 T0
	F1 T1
}

// Tuple3 is a tuple of three.
type Tuple3[T0, T1, T2 any] struct {
	F0 T0
	F1 T1
	F2 T2
}

// Tuple4 is a tuple of four.
type Tuple4[T0, T1, T2, T3 any] struct {
	F0 T0
	F1 T1
	F2 T2
	F3 T3
}

// Unit is nothing.
type Unit struct{}
