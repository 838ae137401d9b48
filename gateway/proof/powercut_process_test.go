//go:build linux && (amd64 || arm64)

package proof_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A bufferProcess is a child that has a buffer on a card.
type bufferProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	orders io.WriteCloser
	words  *json.Decoder
	heard  *os.File
	log    text
	files  []*os.File
}

func startBufferProcess(t *testing.T) *bufferProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &bufferProcess{t: t, cmd: exec.Command(self, "-test.run=^TestBufferProcess$")}
	words, wordsIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	heardOut, heard, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.words, p.heard, p.files = json.NewDecoder(words), heard, []*os.File{words, heard}
	p.cmd.Env = append(environment(nil), "PLANTGATE_BUFFER_PROCESS=1")
	p.cmd.ExtraFiles = []*os.File{wordsIn, heardOut}
	p.cmd.Stderr, p.cmd.Stdout = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wordsIn.Close()
	heardOut.Close()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as kill -9 does. It can be called again.
func (p *bufferProcess) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // what it ends with is told by its words
	for _, f := range p.files {
		f.Close()
	}
}

// do gives an order and calls hear with what is said until it is done. An error
// is one that the process reports, or how it died.
func (p *bufferProcess) do(o order, hear func(word)) (broken bool, err error) {
	p.t.Helper()
	late := time.AfterFunc(2*time.Minute, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) }) // it may have ended
	defer late.Stop()
	if err := json.NewEncoder(p.orders).Encode(o); err != nil {
		return false, fmt.Errorf("the process is gone: %w", err)
	}
	for {
		var w word
		if err := p.words.Decode(&w); err != nil {
			_ = p.cmd.Wait() // its state says it
			for _, f := range p.files {
				f.Close()
			}
			if o.Do == "live" && !o.Close && p.cmd.ProcessState.Success() {
				return false, nil
			}
			return false, fmt.Errorf("the process died: %v\n%s", p.cmd.ProcessState, tail(p.log.String()))
		}
		if hear != nil {
			hear(w)
		}
		if _, err := p.heard.Write([]byte{1}); err != nil {
			return false, fmt.Errorf("the process is gone: %w", err)
		}
		switch {
		case w.Done && w.Err != "":
			return w.Broken, fmt.Errorf("%s", w.Err)
		case w.Done:
			return false, nil
		}
	}
}

// alone gives one order to a process of its own.
func alone(t *testing.T, o order, hear func(word)) (broken bool, err error) {
	t.Helper()
	p := startBufferProcess(t)
	defer p.kill()
	return p.do(o, hear)
}
