// Package users keeps the MQTT users of the gateway: names, hashed passwords
// and roles, in one file that mosquitto_passwd can have written.
//
// It guarantees that a change is on the card as a whole or not at all, that a
// password is compared in constant time, that guessing costs the guesser more
// than the gateway, and that a user who logged in once logs in again without
// the cost of the hash, so that fifty sockets can return at once after a power
// cut. It knows nothing of MQTT packets, connections or the network.
//
// The file has one user a line, as mosquitto_passwd writes it, and the role as
// a third field, which mosquitto ignores:
//
//	washer:$7$5000$c2FsdHNhbHRzYWx0$aGFzaC4uLg==:device
//
// A line without a role is a device. Blank lines and lines that begin with #
// are kept.
package users

import (
	"cmp"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// What Check and the changes of the file can fail with.
var (
	ErrDenied  = errors.New("name or password is wrong")
	ErrTooMany = errors.New("too many wrong passwords, wait a minute")
	ErrExists  = errors.New("user exists already (use passwd to change the password)")
	ErrUnknown = errors.New("no such user")
	ErrInUse   = errors.New("another command is changing the users, try again")
)

// maxName bounds a user's name, in bytes.
const maxName = 256

// A User is one line of the file.
type User struct {
	Name string
	Role Role
	hash string // of the password it logged in with
}

// A File is the file of users. All methods may be called at the same time.
type File struct {
	path string
	key  [32]byte      // of the cache below; made anew at each start
	slot chan struct{} // one hash at a time: the others have a broker to run

	mu         sync.Mutex
	users      map[string]entry
	stamp      stamp
	looked     time.Time
	generation uint64
	err        error
	verified   map[string]mark // by name: what was accepted last
	failures   limiter
}

// Open reads the file at path. A missing file is one without users: Add makes
// it. Lines that cannot be read cost their users the login, nobody else; Err
// names them.
func Open(path string) (*File, error) {
	f := &File{path: path, slot: make(chan struct{}, 1), verified: make(map[string]mark)}
	if err := f.newKey(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f, f.load()
}

// Err reports the lines that cannot be read, or why the file could not be read
// when it last changed. Until it can be, what was read before holds.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// List returns all users, sorted by name.
func (f *File) List() []User {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	return slices.SortedFunc(maps.Values(f.known()), func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
}

func (f *File) known() map[string]User {
	known := make(map[string]User, len(f.users))
	for name, e := range f.users {
		known[name] = User{name, e.role, e.hash}
	}
	return known
}

// Generation changes when the content of the file does. It looks at the file
// at most once a second.
func (f *File) Generation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	return f.generation
}

// Current returns u as the file has it now. It is false when the user is gone
// or has another password than u logged in with.
func (f *File) Current(u User) (now User, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	e, ok := f.users[u.Name]
	return User{u.Name, e.role, e.hash}, ok && e.hash == u.hash
}

// Known reports whether there is a user of that name.
func (f *File) Known(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	_, ok := f.users[name]
	return ok
}

// Check returns the user of that name if the password is right. It fails with
// ErrDenied, with ErrTooMany when wrong passwords came from that address (the
// zero Addr counts as one), for that name or altogether faster than they may,
// and with the error of ctx when too many others are waiting.
func (f *File) Check(ctx context.Context, from netip.Addr, name string, password []byte) (User, error) {
	f.mu.Lock()
	f.refresh()
	e, known := f.users[name]
	m := f.mark(name, e, password)
	accepted, seen := f.verified[name]
	f.mu.Unlock()
	u := User{name, e.role, e.hash}
	if known && seen && hmac.Equal(accepted[:], m[:]) {
		return u, nil
	}
	select {
	case f.slot <- struct{}{}:
		defer func() { <-f.slot }()
	case <-ctx.Done():
		return User{}, fmt.Errorf("check password of %q: %w", name, ctx.Err())
	}
	if err := f.verify(from, e, name, password, known, m); err != nil {
		return User{}, err
	}
	return u, nil
}

// verify computes the hash, unless the password is known to be wrong. A name
// that does not exist costs the same time as one that does, so that names cannot
// be tried out.
func (f *File) verify(from netip.Addr, e entry, name string, password []byte, known bool, m mark) error {
	f.mu.Lock()
	chance := f.failures.judge(from, name, m, time.Now())
	_, wrong := f.failures.denied[m]
	f.mu.Unlock()
	if chance == none {
		return ErrTooMany
	}
	if !known {
		e = entry{iterations: Iterations, salt: f.key[:saltSize], sum: f.key[:]}
	}
	right := !wrong && e.matches(password) && known
	f.mu.Lock()
	defer f.mu.Unlock()
	if !right {
		f.failures.spend(from, name, chance, time.Now())
		f.failures.deny(m)
		return ErrDenied
	}
	f.verified[name] = m
	return nil
}

// Add makes a new user. The name is at most 256 bytes of UTF-8 without colon
// and control characters.
func (f *File) Add(name, password string, role Role) error {
	if err := validName(name); err != nil {
		return err
	}
	made, err := newEntry(password, role)
	if err != nil {
		return err
	}
	return f.change(name, func(old *entry) (*entry, error) {
		if old != nil {
			return nil, ErrExists
		}
		return &made, nil
	})
}

// SetPassword gives a user another password; its role stays.
func (f *File) SetPassword(name, password string) error {
	made, err := newEntry(password, Device)
	if err != nil {
		return err
	}
	return f.change(name, func(old *entry) (*entry, error) {
		if old == nil {
			return nil, ErrUnknown
		}
		made.role = old.role
		return &made, nil
	})
}

// SetRole gives a user another role; its password stays.
func (f *File) SetRole(name string, role Role) error {
	return f.change(name, func(old *entry) (*entry, error) {
		switch {
		case old == nil:
			return nil, ErrUnknown
		case old.hash == "":
			return nil, errors.New("its line cannot be read (set the password anew)")
		}
		made := *old
		made.role = role
		return &made, nil
	})
}

// Remove takes a user out of the file.
func (f *File) Remove(name string) error {
	return f.change(name, func(old *entry) (*entry, error) {
		if old == nil {
			return nil, ErrUnknown
		}
		return nil, nil
	})
}

func validName(name string) error {
	switch {
	case name == "":
		return errors.New("user name is empty")
	case len(name) > maxName:
		return fmt.Errorf("user name is longer than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("user name %q holds bytes that are no text", name)
	case strings.ContainsRune(name, ':') || strings.HasPrefix(name, "#"):
		return fmt.Errorf("user name %q holds a colon or begins with #", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("user name %q begins or ends with a blank", name)
	}
	return nil
}
