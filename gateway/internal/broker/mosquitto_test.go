package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// tool returns the path of a mosquitto program. PLANTGATE_REQUIRE_MOSQUITTO=1
// turns its absence into a failure.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("PLANTGATE_REQUIRE_MOSQUITTO") == "1":
		t.Fatalf("%s is not installed (apt install mosquitto mosquitto-clients)", name)
	}
	t.Skipf("%s is not installed (apt install mosquitto mosquitto-clients)", name)
	return ""
}

// The programs that everybody tries a broker with.
func TestMosquittoClients(t *testing.T) {
	pub, sub := tool(t, "mosquitto_pub"), tool(t, "mosquitto_sub")
	r := start(t, nil)
	host, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for qos := range 3 {
			t.Run(fmt.Sprint(version, " qos ", qos), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				topic := fmt.Sprintf("house/%s/%d", version, qos)
				common := []string{"-h", host, "-p", port, "-V", version, "-q", fmt.Sprint(qos), "-t", topic}
				out, err := exec.CommandContext(ctx, pub, append(common, "-r", "-m", "hello")...).CombinedOutput()
				if err != nil {
					t.Fatalf("mosquitto_pub: %v: %s", err, out)
				}
				out, err = exec.CommandContext(ctx, sub, append(common, "-C", "1", "-v")...).CombinedOutput()
				if err != nil {
					t.Fatalf("mosquitto_sub: %v: %s", err, out)
				}
				if got, want := strings.TrimSpace(string(out)), topic+" hello"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
	if got := len(r.store.all()); got != 9 {
		t.Errorf("%d messages stored, want 9", got)
	}
}
