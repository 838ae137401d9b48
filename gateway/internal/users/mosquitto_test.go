package users_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// The program itself: what it writes is read, and what stands in the file it
// leaves, the roles of other users included.
func TestMosquittoPasswd(t *testing.T) {
	program, err := exec.LookPath("mosquitto_passwd")
	if err != nil && os.Getenv("PLANTGATE_REQUIRE_MOSQUITTO") == "1" {
		t.Fatal("mosquitto_passwd is not installed (apt install mosquitto)")
	}
	if err != nil {
		t.Skip("mosquitto_passwd is not installed (apt install mosquitto)")
	}
	path := filepath.Join(t.TempDir(), "mqtt-users")
	f := open(t, path)
	must(t, f.Add("hub", "x", users.Home))
	for _, args := range [][]string{{"-b", path, "alice", "secret: $1"}, {"-b", path, "carol", "y"}, {"-D", path, "carol"}} {
		if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd %v: %v: %s", args, err, out)
		}
	}
	must(t, f.Reload())
	must(t, f.Err())
	check(t, f, "alice", "secret: $1", nil)
	if u := check(t, f, "hub", "x", nil); u.Role != users.Home {
		t.Errorf("hub is %v, want home", u.Role)
	}
	if got := len(f.List()); got != 2 {
		t.Errorf("%d users, want 2", got)
	}
}
