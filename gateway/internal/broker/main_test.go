package broker_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

const (
	device = users.Device
	home   = users.Home
	reader = users.Reader
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
