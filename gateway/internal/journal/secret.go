package journal

import "log/slog"

// redacted stands for what is not written.
const redacted = "[redacted]"

// A Secret is text that no log shows, however it is passed. One trap is left:
// fmt prints an unexported field of a struct without asking its type.
type Secret string

// LogValue returns the placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// String returns the placeholder.
func (Secret) String() string { return redacted }

// GoString returns the placeholder.
func (Secret) GoString() string { return redacted }

// MarshalText returns the placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// secretKeys are names under which a library could log what must not be seen:
// mochi logs a refused CONNECT as "packet" or "pk", with the password in it.
var secretKeys = map[string]bool{
	"password": true, "passwd": true, "secret": true, "token": true, "credential": true, "packet": true, "pk": true,
}
