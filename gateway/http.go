package main

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// controlHandler serves the commands on the unix socket.
func (g *gateway) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, g.status()) })
	mux.HandleFunc("GET /tail", g.serveTail)
	mux.HandleFunc("GET /unread", g.serveUnread)
	mux.HandleFunc("GET /buffer", g.serveHistory)
	mux.HandleFunc("POST /buffer/replay", g.serveReplay)
	return mux
}

// httpHandler serves machines that watch the gateway.
func (g *gateway) httpHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.serveHealth)
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.registry, promhttp.HandlerOpts{}))
	if g.profiled {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine, ...
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// A health is the answer of /healthz. Live: the broker and the committer move;
// a restart would help if they did not. Ready: readings are taken and kept.
type health struct {
	Live    bool     `json:"live"`
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not, and what else is wrong
}

func (g *gateway) serveHealth(w http.ResponseWriter, r *http.Request) {
	h := g.health(r)
	code := http.StatusOK
	if !h.Live || !h.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, h)
}

func (g *gateway) health(r *http.Request) health {
	h := health{Live: true, Ready: g.isReady.Load(), Reasons: []string{}}
	if err := g.alive(r.Context()); err != nil {
		h.Live = false
		h.Reasons = append(h.Reasons, err.Error())
	}
	if !h.Ready {
		h.Reasons = append(h.Reasons, "not every part has started")
	}
	for _, p := range g.status().Problems {
		h.Ready = h.Ready && !p.Blocks
		h.Reasons = append(h.Reasons, p.What)
	}
	return h
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has left
}
