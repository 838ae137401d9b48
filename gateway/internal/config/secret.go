package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// credentialsVariable is where systemd puts what the unit names with
// LoadCredential= (systemd.exec(5), "Credentials").
const credentialsVariable = "${CREDENTIALS_DIRECTORY}"

// Path replaces a leading ${CREDENTIALS_DIRECTORY} by the folder that the
// service manager hands to the service.
func Path(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, credentialsVariable)
	if !ok {
		return path, nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", fmt.Errorf("%s: CREDENTIALS_DIRECTORY is not set (it is set for a service whose unit has LoadCredential=%s:FILE)",
			path, strings.TrimPrefix(rest, "/"))
	}
	return filepath.Join(dir, rest), nil
}

const maxSecretBytes = 64 << 10

var (
	errEmptySecret = errors.New("the file is empty")
	errLongSecret  = fmt.Errorf("the file is longer than %d bytes", maxSecretBytes)
)

// Secret reads a secret from a file and takes one line break from its end. Its
// errors never hold anything of the content.
func Secret(path string) (string, error) {
	path, err := Path(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if len(b) > maxSecretBytes {
		return "", fmt.Errorf("read secret %s: %w", path, errLongSecret)
	}
	text, ended := strings.CutSuffix(string(b), "\r\n")
	if !ended {
		text = strings.TrimSuffix(text, "\n")
	}
	if text == "" {
		return "", fmt.Errorf("read secret %s: %w", path, errEmptySecret)
	}
	return text, nil
}
