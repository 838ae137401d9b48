package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

const usersFile = "mqtt-users"

type mqttCommand struct {
	User userCommand `cmd:"" help:"Manage users: device (publishes and subscribes), home (also command topics), reader (subscribes)."`
}

type userCommand struct {
	Add    addUserCommand    `cmd:"" help:"Add a user. Without --password-file a password is made and shown once."`
	List   listUsersCommand  `cmd:"" help:"List users and roles."`
	Remove removeUserCommand `cmd:"" help:"Remove a user."`
	Passwd passwdCommand     `cmd:"" help:"Give a user another password."`
}

// passwordFlag lets a person keep a password out of the process list and the
// shell's history: both would show an argument.
type passwordFlag struct {
	PasswordFile string `help:"File with the password; - is standard input." placeholder:"FILE"`
}

// password returns what the file holds, or a made one to be shown.
func (p passwordFlag) password(s streams) (password string, made bool, err error) {
	if p.PasswordFile == "" {
		return strings.ToLower(rand.Text()), true, nil
	}
	text, err := p.read(s)
	if err != nil {
		return "", false, fmt.Errorf("read password: %w", err)
	}
	password = strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", false, errors.New("the password is empty")
	}
	return password, false, nil
}

func (p passwordFlag) read(s streams) ([]byte, error) {
	if p.PasswordFile == "-" {
		return io.ReadAll(io.LimitReader(s.in, 4<<10))
	}
	return os.ReadFile(p.PasswordFile)
}

type addUserCommand struct {
	Name string `arg:"" help:"Name the device logs in with."`
	Role string `help:"device, home or reader." default:"device" enum:"device,home,reader"`
	passwordFlag
}

func (c addUserCommand) Run(all *commands, s streams) error {
	role, err := users.ParseRole(c.Role)
	if err != nil {
		return err
	}
	password, made, err := c.password(s)
	if err != nil {
		return err
	}
	f, err := openUsers(all)
	if err != nil {
		return err
	}
	if err := f.Add(c.Name, password, role); err != nil {
		return fmt.Errorf("add user %s: %w", c.Name, err)
	}
	return tellPassword(s, c.Name, password, made)
}

type passwdCommand struct {
	Name string `arg:"" help:"Name of the user."`
	passwordFlag
}

func (c passwdCommand) Run(all *commands, s streams) error {
	password, made, err := c.password(s)
	if err != nil {
		return err
	}
	f, err := openUsers(all)
	if err != nil {
		return err
	}
	if err := f.SetPassword(c.Name, password); err != nil {
		return fmt.Errorf("change password of %s: %w", c.Name, err)
	}
	return tellPassword(s, c.Name, password, made)
}

func tellPassword(s streams, name, password string, made bool) error {
	if !made {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "user %s, password %s (shown this once; type it into the device)\n", name, password)
	return err
}

type removeUserCommand struct {
	Name string `arg:"" help:"Name of the user."`
}

func (c removeUserCommand) Run(all *commands) error {
	f, err := openUsers(all)
	if err != nil {
		return err
	}
	if err := f.Remove(c.Name); err != nil {
		return fmt.Errorf("remove user %s: %w", c.Name, err)
	}
	return nil
}

type listUsersCommand struct{}

func (listUsersCommand) Run(all *commands, s streams) error {
	f, err := openUsers(all)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, u := range f.List() {
		fmt.Fprintf(w, "%s\t%s\n", u.Name, u.Role)
	}
	return errors.Join(w.Flush(), f.Err())
}

// openUsers opens the file of the service that the configuration describes, so
// that a command never edits another one than the service reads.
func openUsers(all *commands) (*users.File, error) {
	cfg, err := all.load(loadOptions{anyKafka: true})
	if err != nil {
		return nil, err
	}
	return users.Open(filepath.Join(cfg.DataDir, usersFile))
}
