package users

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Iterations of PBKDF2 for a new password. mosquitto_passwd 2.0 takes 101. Each
// thousand costs a Pi Zero about ten milliseconds, and after a start every
// device has to be let in within the few seconds for which it waits.
const Iterations = 5000

const (
	saltSize      = 12 // as mosquitto_passwd
	hashSize      = sha512.Size
	maxIterations = 1_000_000 // more would stop the logins of everybody
	maxPassword   = 65535     // MQTT 5.0 section 3.1.3.6
)

// An entry is what the file says about a user: the hash of the password in
// mosquitto's format $7$iterations$salt$hash (PBKDF2-SHA512, base64), and the
// role.
type entry struct {
	hash       string // as it stands in the file
	role       Role
	iterations int
	salt, sum  []byte
}

func newEntry(password string, role Role) (entry, error) {
	if password == "" || len(password) > maxPassword {
		return entry{}, fmt.Errorf("password is empty or longer than %d bytes", maxPassword)
	}
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return entry{}, fmt.Errorf("make salt: %w", err)
	}
	sum, err := pbkdf2.Key(sha512.New, password, salt, Iterations, hashSize)
	if err != nil {
		return entry{}, fmt.Errorf("hash password: %w", err)
	}
	b64 := base64.StdEncoding
	hash := fmt.Sprintf("$7$%d$%s$%s", Iterations, b64.EncodeToString(salt), b64.EncodeToString(sum))
	return entry{hash, role, Iterations, salt, sum}, nil
}

func parseHash(hash string) (entry, error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 5 || fields[0] != "" || fields[1] != "7" {
		return entry{}, errors.New("password is not in the format $7$iterations$salt$hash (set it anew)")
	}
	iterations, err := strconv.Atoi(fields[2])
	if err != nil || iterations < 1 || iterations > maxIterations {
		return entry{}, fmt.Errorf("iterations %q are not within 1..%d", fields[2], maxIterations)
	}
	salt, err := base64.StdEncoding.DecodeString(fields[3])
	if err != nil || len(salt) == 0 {
		return entry{}, errors.New("salt is not base64")
	}
	sum, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(sum) != hashSize {
		return entry{}, fmt.Errorf("hash is not base64 of %d bytes", hashSize)
	}
	return entry{hash: hash, iterations: iterations, salt: salt, sum: sum}, nil
}

func (e entry) matches(password []byte) bool {
	sum, err := pbkdf2.Key(sha512.New, string(password), e.salt, e.iterations, hashSize)
	return err == nil && subtle.ConstantTimeCompare(sum, e.sum) == 1
}

func (f *File) newKey() error {
	if _, err := rand.Read(f.key[:]); err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	return nil
}

// mark binds a password to the hash it was accepted for. The key never leaves
// the memory of this process, so the mark is worth nothing elsewhere.
func (f *File) mark(name string, e entry, password []byte) (sum mark) {
	h := hmac.New(sha256.New, f.key[:])
	fmt.Fprintf(h, "%s:%s:", name, e.hash)
	h.Write(password)
	h.Sum(sum[:0])
	return sum
}
