package journal

// redacted stands for what is not written.
const redacted = "[redacted]"

// secretKeys are names under which a library could log what must not be seen:
// mochi logs a refused CONNECT as "packet" or "pk", with the password in it.
var secretKeys = map[string]bool{
	"password": true, "passwd": true, "secret": true, "token": true, "credential": true, "packet": true, "pk": true,
}
