package main

import (
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// abuseText says which client meets which limit.
func abuseText(a broker.Abuse) string {
	var b strings.Builder
	b.WriteString("MQTT client")
	if a.Client != "" {
		fmt.Fprintf(&b, " %q", a.Client)
	}
	if a.User != "" {
		fmt.Fprintf(&b, " of user %q", a.User)
	}
	if a.Address != "" {
		b.WriteString(" at " + a.Address)
	}
	fmt.Fprintf(&b, " is %s: %s", a.Effect, a.Reason)
	if a.Allowed != "" {
		b.WriteString(", allowed is " + a.Allowed)
	}
	fmt.Fprintf(&b, " (%d times)", a.Times)
	return b.String()
}

func abuseRemedy(a broker.Abuse) string {
	if a.Setting == "" {
		return "find out what it does (journalctl -u plantgate names it)"
	}
	return "find out why it does so much, or raise " + a.Setting
}
