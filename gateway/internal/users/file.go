package users

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lookEvery bounds how often a login looks whether the file changed.
const lookEvery = time.Second

// A stale lock is one whose command cannot live any more.
const lockStale = time.Minute

// A stamp tells one state of the file from another.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// Reload reads the file now, whether it seems to have changed or not.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

// refresh reads the file when it changed since it was read. Called with mu.
func (f *File) refresh() {
	now := time.Now()
	if now.Sub(f.looked) < lookEvery {
		return
	}
	f.looked = now
	if s, err := stampOf(f.path); err == nil && s == f.stamp {
		return
	}
	if err := f.load(); err != nil {
		f.err = err
	}
}

// load reads the file. When that fails the users read before stay. Called with
// mu.
func (f *File) load() error {
	s, err := stampOf(f.path)
	if err != nil {
		return fmt.Errorf("read users: %w", err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read users: %w", err)
	}
	f.users, f.err = parse(f.path, string(text))
	f.stamp = s
	f.generation++
	return nil
}

func parse(path, text string) (map[string]entry, error) {
	users := make(map[string]entry)
	var problems []error
	for i, line := range strings.Split(text, "\n") {
		name, e, err := parseLine(line)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, i+1, err))
		case name != "":
			users[name] = e
		}
	}
	return users, errors.Join(problems...)
}

// parseLine returns no name for a line that has none: blank or a comment.
func parseLine(line string) (string, entry, error) {
	line = strings.TrimRight(line, "\r")
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
		return "", entry{}, nil
	}
	fields := strings.Split(line, ":")
	if len(fields) < 2 || len(fields) > 3 || validName(fields[0]) != nil {
		return "", entry{}, errors.New("line is not name:password or name:password:role")
	}
	e, err := parseHash(fields[1])
	if err != nil {
		return "", entry{}, fmt.Errorf("user %q: %w", fields[0], err)
	}
	if len(fields) == 3 {
		if e.role, err = ParseRole(fields[2]); err != nil {
			return "", entry{}, fmt.Errorf("user %q: %w", fields[0], err)
		}
	}
	return fields[0], e, nil
}

// change reads the file, lets edit make a user's new entry out of the old one
// (nil: there is none, or there shall be none), and writes it. What is read
// after a power cut is the whole old file or the whole new one.
func (f *File) change(name string, edit func(old *entry) (*entry, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tmp, err := f.lock()
	if err != nil {
		return err
	}
	err = f.fill(tmp, name, edit)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	// From here on the temporary file's name is the next command's.
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	return f.load()
}

func (f *File) fill(tmp *os.File, name string, edit func(old *entry) (*entry, error)) error {
	text, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read users: %w", err)
	}
	edited, err := editText(string(text), name, edit)
	if err != nil {
		return fmt.Errorf("user %q: %w", name, err)
	}
	if _, err := tmp.WriteString(edited); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	if err := keepOwner(tmp, filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	return nil
}

// lock makes the temporary file, which can be made once: it is the lock between
// commands.
func (f *File) lock() (*os.File, error) {
	path := f.path + ".new"
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > lockStale {
		_ = os.Remove(path) // left by a command that was killed; if it stays, the next line says so
	}
	tmp, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("write users: %w", err)
	}
	return tmp, nil
}

// editText leaves every other line as it is, unreadable ones and comments too.
// A name that stands twice is one user: the last line holds, and both are
// replaced.
func editText(text, name string, edit func(*entry) (*entry, error)) (string, error) {
	var kept []string
	var old *entry
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		first, _, _ := strings.Cut(line, ":")
		if first != name {
			kept = append(kept, line)
			continue
		}
		_, e, err := parseLine(line)
		if err != nil {
			e = entry{} // unreadable, but the user is there: it can be changed or removed
		}
		old = &e
	}
	made, err := edit(old)
	if err != nil {
		return "", err
	}
	if made != nil {
		kept = append(kept, name+":"+made.hash+":"+made.role.String())
	}
	if len(kept) == 0 {
		return "", nil
	}
	return strings.Join(kept, "\n") + "\n", nil
}
