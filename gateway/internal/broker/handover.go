package broker

// A handover keeps a session from moving to a new connection while a QoS 2
// message of the old one is being taken in. mochi copies what is under way
// before that message is among it; the client, which was not answered, sends it
// again on the new connection, and it would be taken twice.
//
// The lock is a channel, so that whoever waits for it is idle to a test's clock.
type handover struct {
	lock    chan struct{} // holds one while a message is taken in, or the session moves
	moved   bool          // guarded by lock: the session is another connection's
	holding bool          // lock, by the goroutine that serves the connection
}

func newHandover() handover { return handover{lock: make(chan struct{}, 1)} }

// begin is false when the session has moved: the message is not this
// connection's to take in any more.
func (h *handover) begin() bool {
	h.lock <- struct{}{}
	if h.moved {
		<-h.lock
		return false
	}
	h.holding = true
	return true
}

// end follows begin once mochi has noted the message. It may come again.
func (h *handover) end() {
	if h.holding {
		h.holding = false
		<-h.lock
	}
}

// move waits for the message under way and lets no more in.
func (h *handover) move() {
	h.lock <- struct{}{}
	h.moved = true
	<-h.lock
}
