package dashboard

import (
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"

	"anabranch/internal/status"
)

// Bounds of the history.
const (
	interval = time.Second
	samples  = 900 // a quarter of an hour
)

// series are the columns of a sample; rates are per second.
type series int

const (
	reads series = iota
	writes
	others   // all other commands
	failures // answered with an error, or refused
	written  // effects of this region's clients, whichever proxy they use
	conflicts
	columns
)

// perPeer are those of each other region.
const (
	lag        series = iota // ms; unknown while there is no link
	applied                  // log entries per second
	perPeerAll               // how many there are
)

// sample is one moment. Unknown values are NaN.
type sample struct {
	at    time.Time
	own   [columns]float64
	peers map[string][perPeerAll]float64
}

// history is a ring of samples, and the newest document.
type history struct {
	mu     sync.Mutex
	ring   [samples]sample
	next   int64 // number of the next sample; the first is 0
	latest status.Document
}

// add takes the document of a moment.
func (h *history) add(d status.Document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := sample{at: d.Time, peers: map[string][perPeerAll]float64{}}
	before := h.latest
	if d.Error != "" && len(d.Peers) == 0 {
		d.Peers = unknown(before.Peers)
	}
	took := d.Time.Sub(before.Time).Seconds()
	if h.next == 0 {
		took = 0
	}
	rate := func(now, then int64) float64 {
		if took <= 0 || now < then { // a counter began anew
			return math.NaN()
		}
		return float64(now-then) / took
	}
	now, then := count(d.Commands), count(before.Commands)
	for i := range now {
		s.own[i] = rate(now[i], then[i])
	}
	s.own[written], s.own[conflicts] = math.NaN(), math.NaN()
	if d.Error == "" && before.Error == "" {
		s.own[written] = rate(d.Effects.Written, before.Effects.Written)
		s.own[conflicts] = rate(d.Conflicts.Total, before.Conflicts.Total)
	}
	for _, p := range d.Peers {
		values := [perPeerAll]float64{lag: math.NaN(), applied: math.NaN()}
		if p.Up() {
			values[lag] = float64(p.LagMillis)
		}
		for _, old := range before.Peers {
			if old.Name == p.Name {
				values[applied] = rate(p.EntriesApplied, old.EntriesApplied)
			}
		}
		s.peers[p.Name] = values
	}
	h.ring[h.next%samples] = s
	h.next++
	h.latest = d
}

// unknown is who the other regions were when that was known last. They are still there, whatever they do.
func unknown(before []status.Peer) []status.Peer {
	peers := []status.Peer{}
	for _, p := range before {
		peers = append(peers, status.Peer{Name: p.Name, ID: p.ID, State: "unknown"})
	}
	return peers
}

// count sums up commands by what the page shows.
func count(commands status.Commands) (sums [failures + 1]int64) {
	for class, ended := range commands {
		all := ended.OK + ended.Error + ended.Refused
		switch class {
		case "read":
			sums[reads] += all
		case "write":
			sums[writes] += all
		default:
			sums[others] += all
		}
		sums[failures] += ended.Error + ended.Refused
	}
	return sums
}

// numbers are values of one column; what is not a number is null in JSON.
type numbers []float64

func (n numbers) MarshalJSON() ([]byte, error) {
	if n == nil {
		return []byte("[]"), nil
	}
	out := []byte{'['}
	for i, value := range n {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(value) {
			out = append(out, "null"...)
		} else {
			out = strconv.AppendFloat(out, math.Round(value*10)/10, 'f', -1, 64)
		}
	}
	return append(out, ']'), nil
}

var _ json.Marshaler = numbers(nil)

// pastColumns is a stretch of the history by columns, oldest first.
type pastColumns struct {
	Times     numbers                `json:"times"` // Unix ms
	Reads     numbers                `json:"reads"`
	Writes    numbers                `json:"writes"`
	Others    numbers                `json:"others"`
	Failures  numbers                `json:"failures"`
	Written   numbers                `json:"written"`
	Conflicts numbers                `json:"conflicts"`
	Peers     map[string]peerColumns `json:"peers"`
}

type peerColumns struct {
	Lag     numbers `json:"lag_ms"`
	Applied numbers `json:"applied"`
}

// run is the run id of the proxy.
func (h *history) run() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest.RunID
}

// since returns the samples from a number on, the number of the next one, and the newest document.
func (h *history) since(from int64) (past pastColumns, next int64, latest status.Document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from < 0 || from > h.next {
		from = 0
	}
	from = max(from, h.next-samples)
	past.Peers = map[string]peerColumns{}
	for _, p := range h.latest.Peers {
		past.Peers[p.Name] = peerColumns{}
	}
	for n := from; n < h.next; n++ {
		s := &h.ring[n%samples]
		past.Times = append(past.Times, float64(s.at.UnixMilli()))
		for i, column := range []*numbers{&past.Reads, &past.Writes, &past.Others, &past.Failures, &past.Written, &past.Conflicts} {
			*column = append(*column, s.own[i])
		}
		for name, columns := range past.Peers {
			values, known := s.peers[name]
			if !known {
				values = [perPeerAll]float64{lag: math.NaN(), applied: math.NaN()}
			}
			columns.Lag, columns.Applied = append(columns.Lag, values[lag]), append(columns.Applied, values[applied])
			past.Peers[name] = columns
		}
	}
	return past, h.next, h.latest
}
