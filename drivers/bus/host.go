package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// KernelDriver returns the name of the kernel driver that owns the chip at addr
// on the bus at path, or "" when none does. I2C_RDWR does not ask the kernel
// whether a chip is taken, so two programs would write to it: worth a warning.
func KernelDriver(path string, addr uint16) string { return kernelDriver("/", path, addr) }

func kernelDriver(root, path string, addr uint16) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // names like /dev/i2c/by-name/... are links
	}
	number, ok := strings.CutPrefix(filepath.Base(path), "i2c-")
	if !ok {
		return ""
	}
	chip := fmt.Sprintf("%s-%04x", number, addr)
	driver, err := os.Readlink(filepath.Join(root, "sys/bus/i2c/devices", chip, "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(driver)
}

// advice says what a person can do about a bus that cannot be opened; root is
// where the file system starts.
func advice(err error, root string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf(" (put dtparam=i2c_arm=on into /boot/firmware/config.txt and restart the board; buses here: %s)", adapters(root))
	case errors.Is(err, fs.ErrPermission):
		return " (the user must be in group i2c: sudo usermod -aG i2c USER, then log in again or restart the service)"
	default:
		return ""
	}
}

// adapters lists the buses of the board with the names of their adapters: that
// of the pin header reads bcm2835 or Synopsys, that of a display ends in .i2c
// or names HDMI.
func adapters(root string) string {
	paths, _ := filepath.Glob(filepath.Join(root, "dev/i2c-*")) // the pattern is valid
	slices.SortFunc(paths, func(a, b string) int { return number(a) - number(b) })
	var found []string
	for _, path := range paths {
		device := filepath.Base(path)
		text := "/dev/" + device
		if name, err := os.ReadFile(filepath.Join(root, "sys/class/i2c-dev", device, "name")); err == nil {
			text += " (" + strings.TrimSpace(string(name)) + ")"
		}
		found = append(found, text)
	}
	if len(found) == 0 {
		return "none"
	}
	return strings.Join(found, ", ")
}

func number(path string) int {
	n, err := strconv.Atoi(path[strings.LastIndexByte(path, '-')+1:])
	if err != nil {
		return 0
	}
	return n
}
