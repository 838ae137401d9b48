package users_test

import (
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// The topics are those of the devices' own documentation.
func TestDevicesPublishNoCommands(t *testing.T) {
	tests := map[string]bool{
		"tele/washer/SENSOR":                                 true,
		"stat/washer/RESULT":                                 true,
		"tasmota/discovery/AABB/config":                      true,
		"shellies/shelly1pm-1/relay/0/power":                 true,
		"shellyplus1pm-1/events/rpc":                         true,
		"house/cellar/shellyplus1pm-1/events/rpc":            true,
		"shellyplus1pm-1/status/switch:0":                    true,
		"zigbee2mqtt/lamp":                                   true,
		"zigbee2mqtt/bridge/devices":                         true,
		"zigbee2mqtt/bridge/response/permit_join":            true,
		"homeassistant/sensor/a/config":                      true,
		"esphome/sensor/soil/state":                          true,
		"obk/1/get":                                          true, // OpenBeken's measurements
		"solar/1164/0/power":                                 true,
		"N/d41243/system/0/Serial":                           true,
		"settings/a":                                         true,
		"rpc":                                                false,
		"command":                                            false,
		"cmnd/washer/POWER":                                  false,
		"cmnd":                                               false,
		"tasmota/washer/cmnd/POWER":                          false,
		"house/cellar/cmnd/washer/POWER":                     false,
		"shellies/shelly1-1/relay/0/command":                 false,
		"shellies/command":                                   false,
		"shellyplus1pm-1/rpc":                                false,
		"house/cellar/shellyplus1pm-1/rpc":                   false,
		"shellyplus1pm-1/command/switch:0":                   false,
		"zigbee2mqtt/lamp/set":                               false,
		"zigbee2mqtt/lamp/set/state":                         false,
		"zigbee2mqtt/bridge/request/device/remove":           false,
		"esphome/switch/pump/command":                        false,
		"solar/1164/cmd/limit_nonpersistent_absolute":        false,
		"obk/1/set":                                          false,
		"openWB/set/lp1/ChargeMode":                          false,
		"homie/lamp/light/power/set":                         false,
		"W/d41243/settings/0/Settings/CGwacs/MaxChargePower": false,
		"homeassistant/status":                               false,
	}
	for topic, want := range tests {
		if got := users.Device.MayPublish(topic); got != want {
			t.Errorf("device may publish to %s: %v, want %v", topic, got, want)
		}
		if !users.Home.MayPublish(topic) {
			t.Errorf("home may not publish to %s", topic)
		}
		if users.Reader.MayPublish(topic) {
			t.Errorf("reader may publish to %s", topic)
		}
	}
}

func TestRolesSubscribe(t *testing.T) {
	tests := map[string]bool{
		"#": true, "+/+": true, "cmnd/washer/#": true, "$share/g/a": true, "": true,
		"$SYS/#": false, "$SYS": false, "$SYS/broker/uptime": false, "$share/g/$SYS/#": false, "$SHARE/g/$SYS": false,
	}
	for filter, want := range tests {
		if got := users.Device.MaySubscribe(filter); got != want {
			t.Errorf("device may subscribe to %q: %v, want %v", filter, got, want)
		}
		if !users.Home.MaySubscribe(filter) || !users.Reader.MaySubscribe(filter) {
			t.Errorf("home or reader may not subscribe to %q", filter)
		}
	}
}

func TestRoleNames(t *testing.T) {
	for _, r := range []users.Role{users.Device, users.Home, users.Reader} {
		if got, err := users.ParseRole(r.String()); err != nil || got != r {
			t.Errorf("ParseRole(%v) = %v, %v", r, got, err)
		}
	}
	for _, name := range []string{"", "Device", "admin", "role 7"} {
		if _, err := users.ParseRole(name); err == nil {
			t.Errorf("role %q is taken", name)
		}
	}
	if r := users.Role(7); r.MayPublish("a") || r.MaySubscribe("a") {
		t.Error("an unknown role may do something")
	}
}
