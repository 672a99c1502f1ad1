package backend

import (
	"math/bits"
	"sync/atomic"
	"time"

	"anabranch/translate"
)

// Traffic counts what clients were answered, and how long Redis took. Every command counts once, when its answer is known: a
// lane adds up what one read from Redis brought, so that the hot path pays for a handful of additions a batch.
type Traffic struct {
	commands [translate.Classes][results]atomic.Int64
	trips    [tripKinds]trips
}

// Result is how a command ended.
type Result uint8

// The results. A command that Redis answers with an error has Failed, as has one that a lost connection swallowed.
const (
	Done    Result = iota
	Failed         // answered with an error, by Redis or by the proxy
	Refused        // Anabranch does not take the command; it never got to Redis
	results
)

var resultNames = [...]string{"ok", "error", "refused"}

func (r Result) String() string { return resultNames[r] }

// Count adds commands.
func (t *Traffic) Count(class translate.Class, result Result, n int) {
	t.commands[class][result].Add(int64(n))
}

// Commands is how many of a class have ended in one way. Unclassified are those that nobody knows.
func (t *Traffic) Commands(class translate.Class, result Result) int64 {
	return t.commands[class][result].Load()
}

// TripKind says what travelled to Redis and back.
type TripKind uint8

// The kinds of round trip.
const (
	TripRead        TripKind = iota // a run of reads
	TripWrite                       // one call of the engine, with the writes of everybody who was waiting
	TripScript                      // a client's script or function
	TripTransaction                 // MULTI … EXEC
	tripKinds
)

var tripNames = [...]string{"read", "write", "script", "transaction"}

func (k TripKind) String() string { return tripNames[k] }

// TripKinds lists them.
func TripKinds() []TripKind { return []TripKind{TripRead, TripWrite, TripScript, TripTransaction} }

// Buckets double from 32 µs to 4.2 s; what took longer is in one more.
const (
	firstBucket = 5 // 2⁵ µs
	buckets     = 18
)

// trips is a histogram of round trips.
type trips struct {
	counts [buckets + 1]atomic.Int64
	nanos  atomic.Int64
}

func (t *trips) observe(took int64) {
	bucket := max(0, bits.Len64(uint64(took)/1000)-firstBucket)
	t.counts[min(bucket, buckets)].Add(1)
	t.nanos.Add(took)
}

// RoundTrips is how long Redis took for calls of one kind, from when they were sent to when their last reply had come.
type RoundTrips struct {
	Limits []time.Duration // upper ends of the buckets
	Counts []int64         // one more than limits
	Sum    time.Duration
}

// RoundTrips returns those since the start.
func (t *Traffic) RoundTrips(kind TripKind) RoundTrips {
	r := RoundTrips{Sum: time.Duration(t.trips[kind].nanos.Load())}
	for i := range t.trips[kind].counts {
		r.Counts = append(r.Counts, t.trips[kind].counts[i].Load())
		if i < buckets {
			r.Limits = append(r.Limits, time.Microsecond<<(firstBucket+i))
		}
	}
	return r
}

// Traffic is what this proxy has carried. The proxy adds what it answers by itself.
func (b *Backend) Traffic() *Traffic { return &b.traffic }

// tally is what a lane's reader has seen and not reported yet.
type tally [translate.Classes]counted

type counted struct{ done, failed int }

// count notes that n replies of an entry have come, of which some were errors, unless they will be asked for again.
func (l *Lane) count(e *entry, n, failed int) {
	if len(l.held) == 0 {
		sum := &l.tally[e.class]
		sum.done += n - failed
		sum.failed += failed
	}
}

// failures is how many of n commands have failed that share a reply.
func failures(reply []byte, n int) int {
	if len(reply) > 0 && reply[0] == '-' {
		return n
	}
	return 0
}

// countFailed notes that n commands are answered with an error of the proxy's own.
func (l *Lane) countFailed(class translate.Class, n int) {
	if class != translate.Unclassified {
		l.backend.traffic.Count(class, Failed, n)
	}
}

// report adds the tally up.
func (l *Lane) report() {
	l.tally[translate.Unclassified] = counted{} // the proxy's own
	for class := range l.tally {
		sum := &l.tally[class]
		if sum.done > 0 {
			l.backend.traffic.Count(translate.Class(class), Done, sum.done)
		}
		if sum.failed > 0 {
			l.backend.traffic.Count(translate.Class(class), Failed, sum.failed)
		}
		*sum = counted{}
	}
}

// timeTrip notes how long a segment was under way.
func (l *Lane) timeTrip(seg *segment) {
	if l.moment == 0 {
		l.moment = now()
	}
	l.backend.traffic.trips[seg.trip()].observe(l.moment - seg.sent)
}

func (s *segment) trip() TripKind {
	switch {
	case s.kind == OpTransaction:
		return TripTransaction
	case s.kind == OpRead:
		return TripRead
	case s.alone:
		return TripScript
	}
	return TripWrite
}

var began = time.Now()

// now is a clock that only goes forward, in nanoseconds.
func now() int64 { return int64(time.Since(began)) }
