package differential

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// deadlineSlackMillis is how far apart two servers may get the same relative TTL.
const deadlineSlackMillis = 5000

// mostComplaints ends a script that is wrong all over.
const mostComplaints = 20

// rig is the reference and what is compared with it. One rig serves all scripts of a topology.
type rig struct {
	reference *redistest.Server
	cluster   *redistest.Cluster // nil where a second plain server plays the subject
	addr      string             // where clients of the subject connect
	backing   *redistest.Server  // what lies behind the subject
}

func newRig(t *testing.T, regions int) *rig {
	t.Helper()
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, regions)
	first := cluster.Regions[0]
	return &rig{reference: redistest.Start(t), cluster: cluster, addr: first.Proxy().Addr, backing: first.Redis}
}

// newPlainRig compares Redis with Redis.
func newPlainRig(t *testing.T) *rig {
	t.Helper()
	server := redistest.Start(t)
	return &rig{reference: redistest.Start(t), addr: server.Addr, backing: server}
}

// session is the connections of one pass of a script.
type session struct {
	t                      *testing.T
	reference, subject     *redistest.Conn
	referenceOwn, pastward *redistest.Conn // for direct lines: they always speak RESP2 and may sit in another database
	complaints             int
	broken                 bool // the processes cannot be trusted any more
	adopts                 bool // some data came past the proxy, so other regions do not have it
}

func (r *rig) open(t *testing.T, protocol string) *session {
	t.Helper()
	s := &session{
		t:            t,
		reference:    redistest.Dial(t, r.reference.Addr),
		subject:      redistest.Dial(t, r.addr),
		referenceOwn: redistest.Dial(t, r.reference.Addr),
		pastward:     redistest.Dial(t, r.backing.Addr),
	}
	for _, c := range []*redistest.Conn{s.reference, s.subject} {
		c.Must("FLUSHALL")
		if protocol == "3" {
			c.Must("HELLO", "3")
		}
	}
	return s
}

// play sends the lines; pipelined gathers what may go in one write.
func (s *session) play(script []line, pipelined bool) {
	s.t.Helper()
	var batch []line
	flush := func() {
		s.send(batch)
		batch = nil
	}
	for _, l := range script {
		if s.complaints > mostComplaints {
			s.t.Errorf("too many differences, the rest is not played")
			return
		}
		switch {
		case l.pause > 0:
			flush()
			time.Sleep(l.pause)
		case l.direct:
			flush()
			s.adopts = true
			for _, c := range []*redistest.Conn{s.referenceOwn, s.pastward} {
				c.Must(l.args...)
			}
		default:
			batch = append(batch, l)
			// Large arguments go alone, so that no pipeline outgrows what a server buffers.
			if !pipelined || len(batch) == 200 || len(strings.Join(l.args, "")) > 1<<16 {
				flush()
			}
		}
	}
	flush()
}

func (s *session) send(batch []line) {
	s.t.Helper()
	if len(batch) == 0 {
		return
	}
	commands := make([][]string, 0, len(batch))
	for _, l := range batch {
		commands = append(commands, l.args)
	}
	want, err := s.reference.Pipeline(commands)
	if err != nil {
		s.broken = true
		s.t.Fatalf("line %d…: reference: %v", batch[0].number, err)
	}
	got, err := s.subject.Pipeline(commands)
	if err != nil {
		s.broken = true
		at := batch[min(len(got), len(batch)-1)]
		s.t.Fatalf("line %d: %.200q: anabranch: %v", at.number, at.args, err)
	}
	for i, l := range batch {
		if what := compare(l, want[i], got[i]); what != "" {
			s.complaints++
			s.t.Errorf("line %d: %.200s: %s", l.number, strings.Join(quoted(l.args), " "), what)
		}
	}
}

// compareData compares everything that the two sides hold, and the other regions with the first.
func (r *rig) compareData(s *session) {
	s.t.Helper()
	want := redistest.Snapshot(s.t, redistest.Dial(s.t, r.reference.Addr))
	got := redistest.Snapshot(s.t, redistest.Dial(s.t, r.addr))
	if diff := redistest.Diff(want, got, deadlineSlackMillis, 20); diff != "" {
		s.t.Errorf("afterwards redis | anabranch hold:\n%s", diff)
	}
	if r.cluster == nil {
		return
	}
	first := r.cluster.Regions[0]
	first.RequireNoMetadata(s.t)
	if len(r.cluster.Regions) == 1 || s.adopts {
		return
	}
	if err := r.cluster.TryConverge(); err != nil {
		s.broken = true
		s.t.Fatal(err)
	}
	for _, other := range r.cluster.Regions[1:] {
		if diff := redistest.Diff(got, redistest.Snapshot(s.t, redistest.Dial(s.t, other.Proxy().Addr)), 0, 20); diff != "" {
			s.t.Errorf("regions %s | %s hold:\n%s", first.Name, other.Name, diff)
		}
	}
}

func quoted(args []string) []string {
	out := make([]string, 0, len(args))
	for _, arg := range args {
		if strings.ContainsFunc(arg, func(c rune) bool { return c <= ' ' || c > '~' }) || arg == "" {
			arg = fmt.Sprintf("%q", arg)
		}
		if len(arg) > 60 {
			arg = fmt.Sprintf("%s…(%d bytes)", arg[:60], len(arg))
		}
		out = append(out, arg)
	}
	return out
}
