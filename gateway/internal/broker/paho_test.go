package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt3 "github.com/eclipse/paho.mqtt.golang"
)

// An independent client of MQTT 3.1.1, as home automation uses it, sees its
// messages delivered and acknowledged at every QoS.
func TestPahoMQTT3(t *testing.T) {
	r := start(t, nil)
	options := mqtt3.NewClientOptions().AddBroker("tcp://" + r.addr()).SetClientID("paho3").
		SetAutoReconnect(false).SetConnectTimeout(5 * time.Second)
	c := mqtt3.NewClient(options)
	done := func(what string, token mqtt3.Token) {
		t.Helper()
		if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("%s: %v", what, token.Error())
		}
	}
	done("connect", c.Connect())
	got := make(chan string, 10)
	done("subscribe", c.Subscribe("house/#", 2, func(_ mqtt3.Client, m mqtt3.Message) {
		got <- fmt.Sprintf("%s %s qos %d", m.Topic(), m.Payload(), m.Qos())
	}))
	for qos := range byte(3) {
		done("publish", c.Publish(fmt.Sprint("house/", qos), qos, false, "x"))
		if m, want := <-got, fmt.Sprintf("house/%d x qos 0", qos); m != want {
			t.Errorf("got %q, want %q", m, want)
		}
	}
	c.Disconnect(100)
	if got := len(r.store.all()); got != 3 {
		t.Errorf("%d messages stored, want 3", got)
	}
}

// The same for MQTT 5. A QoS 2 publish waits for PUBCOMP here, so it also shows
// that the whole handshake passes.
func TestPahoMQTT5(t *testing.T) {
	r := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan string, 10)
	c := paho.NewClient(paho.ClientConfig{Conn: r.dial(t), OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			got <- fmt.Sprintf("%s %s qos %d", p.Packet.Topic, p.Packet.Payload, p.Packet.QoS)
			return true, nil
		}}})
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: "paho5", KeepAlive: 30, CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	subscribe := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "house/#", QoS: 2}}}
	if _, err := c.Subscribe(ctx, subscribe); err != nil {
		t.Fatal(err)
	}
	for qos := range byte(3) {
		m := &paho.Publish{Topic: fmt.Sprint("house/", qos), QoS: qos, Payload: []byte("x")}
		if _, err := c.Publish(ctx, m); err != nil {
			t.Fatalf("publish qos %d: %v", qos, err)
		}
		if m, want := <-got, fmt.Sprintf("house/%d x qos 0", qos); m != want {
			t.Errorf("got %q, want %q", m, want)
		}
	}
	if _, err := c.Publish(ctx, &paho.Publish{Topic: "cmnd/a", QoS: 1, Payload: []byte("x")}); err == nil {
		t.Error("a command of a device was taken")
	}
	if err := c.Disconnect(&paho.Disconnect{}); err != nil {
		t.Error(err)
	}
	if got := len(r.store.all()); got != 3 {
		t.Errorf("%d messages stored, want 3", got)
	}
}

// A device whose message was refused keeps it and sends it again: with a client
// that does so by itself nothing is lost while the buffer is full.
func TestRefusedMessageIsSentAgain(t *testing.T) {
	r := start(t, nil)
	r.store.refuseWith(errors.New("buffer is full"))
	lost := make(chan struct{}, 10)
	options := mqtt3.NewClientOptions().AddBroker("tcp://" + r.addr()).SetClientID("stubborn").SetCleanSession(false).
		SetMaxReconnectInterval(200 * time.Millisecond).SetConnectRetry(true).SetConnectRetryInterval(200 * time.Millisecond).
		SetConnectionLostHandler(func(mqtt3.Client, error) { lost <- struct{}{} })
	c := mqtt3.NewClient(options)
	if token := c.Connect(); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer c.Disconnect(100)
	token := c.Publish("a", 1, false, "precious")
	<-lost
	if token.WaitTimeout(10 * time.Millisecond) {
		t.Fatal("a refused message was acknowledged")
	}
	r.store.refuseWith(nil)
	waitFor(t, func() bool { return len(r.store.all()) > 0 }) // paho ends its token before
	if got := r.store.all(); len(got) != 1 || string(got[0].Payload) != "precious" || !got[0].Dup {
		t.Errorf("stored %+v", got)
	}
}
