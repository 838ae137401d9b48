package users_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// Names and passwords are what a client sends. Whatever the file holds, nobody
// gets in who does not know a password that is in it, and no error tells one.
func FuzzLogin(f *testing.F) {
	const known = "washer:$7$1$c2FsdA==$NYYoS05uFmMyjWq1iRjBuB4yBTyoGsQrmX6yoHzVl/w5Pw8zTvXb5m0vjPOZn5YFlqvhDwbWZMSE8oKmQGWT8w==\n"
	f.Add(known, "washer", []byte("hunter2"))
	f.Add("a:$7$1$c2FsdA==$:reader\n:x\na", "a", []byte{})
	f.Add("a:$7$1000001$c2FsdA==$x\n"+known, "\x00", []byte("\xff"))
	f.Add(strings.Repeat("x", 5000), "x", []byte("y"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, name string, password []byte) {
		if strings.Count(text, "$7$") > 3 || slow(text) {
			return // what the owner of the file asks for, he gets
		}
		path := filepath.Join(dir, "users")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		file, err := users.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second answer comes from memory
			u, err := file.Check(t.Context(), here, name, password)
			if err == nil && !strings.Contains(text, u.Name+":$7$") {
				t.Errorf("%q is let in as %q", name, u.Name)
			}
			if err != nil && len(password) > 8 && !strings.Contains(name, string(password)) && strings.Contains(err.Error(), string(password)) {
				t.Errorf("the error tells the password: %v", err)
			}
		}
		if err := file.Err(); err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("unprintable in %q", err)
		}
		for _, u := range file.List() {
			if u.Name == "" || strings.ContainsFunc(u.Name, unicode.IsControl) {
				t.Errorf("a user called %q", u.Name)
			}
		}
	})
}

// slow: many iterations are allowed, and this has no time for them.
func slow(text string) bool {
	_, rest, found := strings.Cut(text, "$7$")
	for found {
		iterations, more, _ := strings.Cut(rest, "$")
		if len(iterations) > 4 && len(iterations) < 8 {
			return true
		}
		_, rest, found = strings.Cut(more, "$7$")
	}
	return false
}

// Roles judge topics that clients choose. A device never reaches a topic of
// commands, in whichever way it is written, and nobody the broker's own.
func FuzzRoles(f *testing.F) {
	for _, topic := range []string{"tele/x/SENSOR", "cmnd/x/POWER", "zigbee2mqtt/x/set", "$SYS/broker", "/", "", "a/+/#", "$share/g/cmnd/#", "\xff/cmnd/x", "x/command"} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		command := strings.HasPrefix(topic, "cmnd/") || strings.HasSuffix(topic, "/set") && !strings.ContainsAny(topic, "+#")
		if users.Device.MayPublish(topic) && command {
			t.Errorf("a device may publish to %q", topic)
		}
		if users.Reader.MayPublish(topic) {
			t.Errorf("a reader may publish to %q", topic)
		}
		for _, r := range []users.Role{users.Device, users.Home, users.Reader} {
			if again, err := users.ParseRole(r.String()); err != nil || again != r {
				t.Errorf("%v is read as %v, %v", r, again, err)
			}
			r.MaySubscribe(topic)
		}
	})
}
