// A function without a body (sbrk) wants a file of assembly beside it.
