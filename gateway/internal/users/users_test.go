package users_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

var here = netip.MustParseAddr("192.168.1.20")

func open(t *testing.T, path string) *users.File {
	t.Helper()
	f, err := users.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fresh(t *testing.T) (f *users.File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "mqtt-users")
	return open(t, path), path
}

func check(t *testing.T, f *users.File, name, password string, want error) users.User {
	t.Helper()
	u, err := f.Check(t.Context(), here, name, []byte(password))
	if !errors.Is(err, want) {
		t.Errorf("Check(%q, %q): %v, want %v", name, password, err, want)
	}
	return u
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The life of a user, as the commands make it; each step is seen by a service
// that has the file open too.
func TestUserCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, path := fresh(t)
		service := open(t, path)
		later := func() { time.Sleep(2 * time.Second) }

		must(t, f.Add("washer", "secret", users.Device))
		later()
		if u := check(t, service, "washer", "secret", nil); u.Name != "washer" || u.Role != users.Device {
			t.Errorf("got user %+v", u)
		}
		check(t, service, "washer", "Secret", users.ErrDenied)
		check(t, service, "dryer", "secret", users.ErrDenied)
		if err := f.Add("washer", "x", users.Home); !errors.Is(err, users.ErrExists) {
			t.Errorf("adding twice: %v", err)
		}

		must(t, f.SetPassword("washer", "better"))
		must(t, f.SetRole("washer", users.Home))
		later()
		check(t, service, "washer", "secret", users.ErrDenied)
		if u := check(t, service, "washer", "better", nil); u.Role != users.Home {
			t.Errorf("got user %+v, want role home", u)
		}

		must(t, f.Add("panel", "p", users.Reader))
		later()
		names := ""
		for _, u := range service.List() {
			names += u.Name + " " + u.Role.String() + ","
		}
		if want := "panel reader,washer home,"; names != want {
			t.Errorf("users %q, want %q", names, want)
		}

		must(t, f.Remove("washer"))
		later()
		check(t, service, "washer", "better", users.ErrDenied)
		for _, err := range []error{f.Remove("washer"), f.SetPassword("washer", "x"), f.SetRole("washer", users.Home)} {
			if !errors.Is(err, users.ErrUnknown) {
				t.Errorf("unknown user: %v", err)
			}
		}
	})
}

// A user that was removed, or whose password changed, must lose what it has
// open; one whose role changed keeps it.
func TestCurrentFollowsTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fresh(t)
		must(t, f.Add("a", "x", users.Device))
		u := check(t, f, "a", "x", nil)
		generation := f.Generation()
		must(t, f.SetRole("a", users.Home))
		if f.Generation() == generation {
			t.Error("the generation stays after a change")
		}
		if now, ok := f.Current(u); !ok || now.Role != users.Home {
			t.Errorf("after a change of role: %+v %v", now, ok)
		}
		must(t, f.SetPassword("a", "x")) // the same, but given anew
		if _, ok := f.Current(u); ok {
			t.Error("a user with a new password is current")
		}
		u = check(t, f, "a", "x", nil)
		must(t, f.Remove("a"))
		if _, ok := f.Current(u); ok {
			t.Error("a removed user is current")
		}
	})
}

// Written by mosquitto_passwd 2.0.11, the second with a role put behind.
const mosquittoFile = `# made by mosquitto_passwd
alice:$7$101$xMn+3bOG+VLoNBeL$5NOGVjgJhlLE4NJ0Z4tmgpkG/4zuzJdy/1uuKQSY8AnL4L/e54KCeFNzaO5zPvW0TMPNiAKF1mABQ+8UvbTu7w==

bob:$7$101$T4L5m1WjAyRrFPsP$ltkwOYwOfQm4ruvp8zE4QV9Rpm9r4c9NFOGT8WTe+tjpCCcjTglimJsNeCbWv7uGCvzOwgNBaAEd0LWaL1QzFg==:home
`

// Who comes from mosquitto brings the passwords of fifty sockets along.
func TestMosquittosFileIsRead(t *testing.T) {
	_, path := fresh(t)
	must(t, os.WriteFile(path, []byte(mosquittoFile), 0o600))
	f := open(t, path)
	must(t, f.Err())
	if u := check(t, f, "alice", "secret", nil); u.Role != users.Device {
		t.Errorf("alice is %v, want a device", u.Role)
	}
	if u := check(t, f, "bob", "geheim", nil); u.Role != users.Home {
		t.Errorf("bob is %v, want home", u.Role)
	}
	check(t, f, "bob", "secret", users.ErrDenied)
}

// A change touches its user's line alone: comments and what this version does
// not understand stay.
func TestOtherLinesStay(t *testing.T) {
	f, path := fresh(t)
	odd := "carol:$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA\n"
	must(t, os.WriteFile(path, []byte(mosquittoFile+odd), 0o600))
	must(t, f.Reload())
	if err := f.Err(); err == nil || !strings.Contains(err.Error(), path+":5: user \"carol\"") {
		t.Errorf("Err: %v, want line 5 named", err)
	}
	must(t, f.Add("dave", "x", users.Reader))
	text := read(t, path)
	head, line, _ := strings.Cut(text, "dave:$7$5000$")
	if diff := cmp.Diff(mosquittoFile+odd, head); diff != "" {
		t.Errorf("other lines changed (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(line, ":reader\n") {
		t.Errorf("line of dave: %q", line)
	}
	must(t, f.Remove("dave"))
	if got := read(t, path); got != mosquittoFile+odd {
		t.Errorf("file after removal: %q", got)
	}
	must(t, f.SetPassword("carol", "x")) // mends it
	must(t, f.Err())
	check(t, f, "carol", "x", nil)
}

// What is wrong with a line costs its user the login, not the others theirs.
func TestBadLinesHurtOnlyTheirUser(t *testing.T) {
	good := strings.SplitAfter(mosquittoFile, "\n")[1]
	sum := strings.Split(strings.TrimSpace(good), "$")[4]
	lines := map[string]string{
		"no colon":        "x",
		"no name":         ":$7$101$YQ==$" + sum,
		"plain":           "x:secret",
		"old format":      "x:$6$YQ==$" + sum,
		"iterations 0":    "x:$7$0$YQ==$" + sum,
		"iterations huge": "x:$7$1000000000$YQ==$" + sum, // would stop every login
		"iterations text": "x:$7$many$YQ==$" + sum,
		"no salt":         "x:$7$101$$" + sum,
		"bad salt":        "x:$7$101$?$" + sum,
		"bad hash":        "x:$7$101$YQ==$?",
		"short hash":      "x:$7$101$YQ==$YQ==",
		"bad role":        "x:$7$101$YQ==$" + sum + ":king",
		"fourth field":    "x:$7$101$YQ==$" + sum + ":home:y",
		"no text":         "\xff\xfe:$7$101$YQ==$" + sum,
	}
	for name, line := range lines {
		t.Run(name, func(t *testing.T) {
			_, path := fresh(t)
			must(t, os.WriteFile(path, []byte(line+"\n"+good), 0o600))
			f := open(t, path)
			if err := f.Err(); err == nil || !strings.Contains(err.Error(), path+":1:") {
				t.Errorf("Err: %v, want line 1 named", err)
			}
			check(t, f, "alice", "secret", nil)
			if got := len(f.List()); got != 1 {
				t.Errorf("%d users, want 1", got)
			}
		})
	}
}

func TestNamesAndPasswordsThatCannotBe(t *testing.T) {
	f, path := fresh(t)
	for _, name := range []string{"", "a:b", "a\nb", "\xff", "#a", " a", strings.Repeat("a", 257)} {
		if err := f.Add(name, "x", users.Device); err == nil {
			t.Errorf("user %q was added", name)
		}
	}
	for _, password := range []string{"", strings.Repeat("x", 65536)} {
		if err := f.Add("a", password, users.Device); err == nil {
			t.Errorf("a password of %d bytes was taken", len(password))
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
	must(t, f.Add("Küche/Licht 1", "pässwörd: $x", users.Device))
	check(t, f, "Küche/Licht 1", "pässwörd: $x", nil)
}

// Passwords are for the service alone.
func TestFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	f, path := fresh(t)
	must(t, f.Add("a", "x", users.Device))
	info, err := os.Stat(path)
	must(t, err)
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %v, want 0600", got)
	}
	if text := read(t, path); strings.Contains(text, ":x") {
		t.Errorf("the file holds the password: %q", text)
	}
}

// Two commands at once, from two shells: one of them waits or is told, but no
// user is lost.
func TestCommandsDoNotOverwriteEachOther(t *testing.T) {
	_, path := fresh(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	added := 0
	for i := range 8 {
		f := open(t, path)
		all.Go(func() {
			err := f.Add(fmt.Sprint("user", i), "x", users.Device)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				added++
			case !errors.Is(err, users.ErrInUse):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(open(t, path).List()); got != added || added == 0 {
		t.Errorf("%d users in the file, %d were added", got, added)
	}
}

// A command that was killed leaves its temporary file; it must not lock the
// users for ever.
func TestLeftoverOfAKilledCommand(t *testing.T) {
	f, path := fresh(t)
	must(t, os.WriteFile(path+".new", []byte("half a li"), 0o600))
	if err := f.Add("a", "x", users.Device); !errors.Is(err, users.ErrInUse) {
		t.Errorf("Add: %v, want ErrInUse", err)
	}
	long := time.Now().Add(-2 * time.Minute)
	must(t, os.Chtimes(path+".new", long, long))
	must(t, f.Add("a", "x", users.Device))
	check(t, f, "a", "x", nil)
}

// A file that cannot be read for a moment must not throw the house out.
func TestUnreadableFileKeepsTheUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, path := fresh(t)
		must(t, f.Add("a", "x", users.Device))
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o700)) // reading it fails
		time.Sleep(2 * time.Second)
		check(t, f, "a", "x", nil)
		if f.Err() == nil {
			t.Error("the failure is not told")
		}
	})
}

// FuzzParse: whatever stands in the file, reading and changing it neither
// panics nor loses another line.
func FuzzParse(f *testing.F) {
	f.Add(mosquittoFile)
	f.Add("a:b:c:d\n:::\n\r\n#\na")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "users")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		file := open(t, path)
		before := len(file.List())
		if err := file.Add("fuzz", "x", users.Device); err != nil {
			if !errors.Is(err, users.ErrExists) {
				t.Fatal(err)
			}
			return
		}
		if got := len(file.List()); got != before+1 {
			t.Errorf("%d users after adding one to %d", got, before)
		}
		check(t, file, "fuzz", "x", nil)
	})
}
