package bus

// Advice and KernelDriverBelow look at a file system whose root is given.
var (
	Advice            = advice
	KernelDriverBelow = kernelDriver
)
