package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kafka")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Editors end a file with a line break, `echo` on Windows with two bytes; a
// password may itself begin or end with a blank.
func TestSecretLosesOneLineBreak(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"hunter2", "hunter2"}, {"hunter2\n", "hunter2"}, {"hunter2\r\n", "hunter2"}, {"hunter2\n\n", "hunter2\n"}, {" hunter2 \n", " hunter2 "}, {"hunter2\r", "hunter2\r"},
	} {
		if got, err := config.Secret(write(t, c.text)); err != nil || got != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

// The errors go to the journal, and from there into support requests.
func TestSecretErrorsHoldNoContent(t *testing.T) {
	for name, path := range map[string]string{
		"empty":  write(t, "\n"),
		"long":   write(t, strings.Repeat("hunter2", 20000)),
		"absent": filepath.Join(t.TempDir(), "absent"),
		"folder": t.TempDir(),
	} {
		_, err := config.Secret(path)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPasswordComesFromFileOrCredential(t *testing.T) {
	path := write(t, "hunter2\n")
	dir, name := filepath.Split(path)
	file := config.SASL{Mechanism: "plain", User: "u", PasswordFile: path}
	credential := config.SASL{Mechanism: "plain", User: "u", Credential: name}
	byPath := config.SASL{Mechanism: "plain", User: "u", PasswordFile: "${CREDENTIALS_DIRECTORY}/" + name}

	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := credential.Password(); err == nil || !strings.Contains(err.Error(), "LoadCredential="+name+":FILE") {
		t.Errorf("outside of systemd: got %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, s := range []config.SASL{file, credential, byPath} {
		if got, err := s.Password(); err != nil || got != "hunter2" {
			t.Errorf("%+v: got %q, %v", s, got, err)
		}
	}
	if got, err := (config.SASL{Mechanism: config.None}).Password(); err != nil || got != "" {
		t.Errorf("no mechanism: got %q, %v", got, err)
	}
}

// Someone writes the password where it does not belong. It is then in the file,
// but must not spread from there into the journal.
func TestErrorsMaskSecrets(t *testing.T) {
	for _, line := range []string{
		"password: hunter2", "password: 'hunter2", "pasword: hunter2", "password_file: hunter2", "Password = hunter2", "passwd: [hunter2",
		`"password": "hunter2"`, "token: hunter2", "password: &hunter2 x", "password: *hunter2", "password: !hunter2 x", "user: x\n    password:\n      hunter2: 1",
		"password: |\n      hunter2", "password:\n      hunter2\n    broken: [", "secret: {hunter2: 1}", "credential: hunter2/x", "mechanism: hunter2x: [",
	} {
		text := "kafka:\n  brokers: [u:hunter2@kafka:9092]\n  sasl:\n    " + line + "\n"
		_, err := config.Parse("p.yaml", []byte(text), options())
		if err == nil {
			t.Errorf("%q: no error", line)
		} else if strings.Contains(err.Error(), "hunter2") && !strings.HasPrefix(line, "mechanism") {
			t.Errorf("%q:\n%v", line, err)
		}
	}
}
