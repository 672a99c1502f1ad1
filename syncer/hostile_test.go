package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// saying is a connection whose other side has said all that it will ever say, and takes whatever is written.
type saying struct{ data *bytes.Reader }

func (s saying) Read(p []byte) (int, error)       { return s.data.Read(p) }
func (s saying) Write(p []byte) (int, error)      { return len(p), nil }
func (s saying) Close() error                     { return nil }
func (s saying) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "here"} }
func (s saying) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "there"} }
func (s saying) SetDeadline(time.Time) error      { return nil }
func (s saying) SetReadDeadline(time.Time) error  { return nil }
func (s saying) SetWriteDeadline(time.Time) error { return nil }

// apart is a syncer whose Redis never answers.
func apart(t testing.TB, change ...func(*Config)) *Syncer {
	t.Helper()
	away := errors.New("redis is away")
	rdb := redis.NewClient(&redis.Options{MaxRetries: -1, Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, away }})
	t.Cleanup(func() { rdb.Close() })
	cfg := Config{
		Region: Region{Name: "alpha", ID: 1}, RunID: "run", Redis: rdb, Peers: map[string][]string{"beta": {"127.0.0.1:1"}}, Log: zerolog.Nop(),
		FrameBytes: 1 << 16, BatchBytes: 1 << 14, EntryBytes: 1 << 18, WindowBytes: 1 << 18, DialTimeout: time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listeners are all places at which bytes of a peer arrive. Each must end when the bytes do.
var listeners = []func(s *Syncer, conn net.Conn) error{
	func(s *Syncer, conn net.Conn) error { // a port that is called
		newServer(s).serve(context.Background(), conn, func() {})
		return nil
	},
	func(s *Syncer, conn net.Conn) error { // a server that was called, before it is known who that is
		frames := newFrameConn(conn, time.Time{})
		frames.allow(welcomeBytes)
		_, err := newTestPuller(s).hearWelcome(context.Background(), frames, newTestPuller(s).prepare([]byte("{}")))
		return err
	},
	func(s *Syncer, conn net.Conn) error { // its log
		l := &link{
			taken: taken{puller: newTestPuller(s), frames: opened(s, conn)}, inbox: newInbox(1 << 30), answer: make(chan stateAnswer, 1), mail: newMailbox(),
		}
		l.asked.Store(1)
		if err := l.receive(context.Background()); err != nil {
			l.work = newApplier(l.applierLimits(), crdtmeta.Frontier{})
			_ = l.work.push(l.inbox.take(1 << 20))
			return err
		}
		return nil
	},
	func(s *Syncer, conn net.Conn) error { // its keys
		m := &merging{taken: taken{puller: newTestPuller(s), frames: opened(s, conn)}, pieces: make(chan piece)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			for {
				if _, err := m.next(ctx); err != nil {
					return
				}
			}
		}()
		defer func() { cancel(); <-done }()
		return m.receive(ctx)
	},
	func(s *Syncer, conn net.Conn) error { // a puller of our log
		p := &shipment{served: served{server: newServer(s), frames: opened(s, conn)}, window: &window{limit: 1 << 20}, fresh: make(chan struct{}, 1)}
		return p.receive(context.Background())
	},
	func(s *Syncer, conn net.Conn) error { // a puller of our keys
		m := &mergeServer{served: served{server: newServer(s), frames: opened(s, conn)}, asks: make(chan frame)}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			for {
				select {
				case f := <-m.asks:
					if raw, err := expand(f.text(1), f.bytes(2), s.cfg.FrameBytes); err == nil {
						_, _ = parseNames(raw)
					}
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() { cancel(); <-done }()
		return m.receive(ctx)
	},
}

func newTestPuller(s *Syncer) *puller {
	return &puller{
		Syncer: s, linkStatus: newLinkStatus("beta", &signal{}), view: &view{}, id: 2, addrs: []string{"127.0.0.1:1"},
		downFor: func(int) time.Duration { return 0 },
	}
}

func opened(s *Syncer, conn net.Conn) *frameConn {
	c := newFrameConn(conn, time.Time{})
	c.open(s.cfg.FrameBytes, 0)
	return c
}

// framed writes frames as a peer does.
func framed(frames ...[]any) []byte {
	var buf bytes.Buffer
	for _, values := range frames {
		fmt.Fprintf(&buf, "*%d\r\n", len(values))
		for _, value := range values {
			text := fmt.Sprint(value)
			if raw, ok := value.([]byte); ok {
				text = string(raw)
			}
			fmt.Fprintf(&buf, "$%d\r\n%s\r\n", len(text), text)
		}
	}
	return buf.Bytes()
}

// What stands between values and between frames in the input of FuzzPeer: with lengths in it, most of what the fuzzer changes
// would come to nothing.
const betweenValues, betweenFrames = "\xff\xfe", "\xff\xfd"

func unframed(frames [][]any) []byte {
	var list []string
	for _, values := range frames {
		var words []string
		for _, value := range values {
			if raw, ok := value.([]byte); ok {
				value = string(raw)
			}
			words = append(words, fmt.Sprint(value))
		}
		list = append(list, strings.Join(words, betweenValues))
	}
	return []byte(strings.Join(list, betweenFrames))
}

func reframed(data []byte) []byte {
	var frames [][]any
	for text := range strings.SplitSeq(string(data), betweenFrames) {
		var values []any
		for word := range strings.SplitSeq(text, betweenValues) {
			values = append(values, word)
		}
		frames = append(frames, values)
	}
	return framed(frames...)
}

// Besides the place, the first input of FuzzPeer says whether regions share a secret, and whether the data is no frames.
const (
	asBytes  = 0x40
	bySecret = 0x80
)

// FuzzPeer lets a peer say anything at each place where one is listened to: it must end by itself, and without a panic.
func FuzzPeer(f *testing.F) {
	beta := hello{Name: "beta", ID: 2, ExpectName: "alpha", ExpectID: 1, Origin: "2.0.1-aaaaaa", RunID: "r", Window: 100}
	origin, _ := crdtmeta.ParseOrigin("2.0.1-aaaaaa")
	frontier := crdtmeta.Frontier{origin: 7}.AppendMsgpack(nil)
	position := append(bytes.Clone(frontier), 0x80)
	stream := streamOf([]entry{{t: 1, body: crdtmeta.Record(origin, crdtmeta.Frontier{})}, {t: 2, body: []byte("\x93\xa1e\xac2.0.1-aaaaaa\xa0")}})
	codec, packed := compress(bytes.Repeat(stream, 1), 1)
	states := appendStates(nil, string(frontier), []keyState{{"0", "k", "\x00"}, {"1", "", ""}})
	roster := encodeJSON([]rosterEntry{{Name: "gamma", ID: 3, Addrs: []string{"10.0.0.1:6480"}, At: 5}})
	for i, frames := range [][][]any{
		{{verbHello, protocolVersion, encodeJSON(beta), newNonce()}, {verbProof, make([]byte, 32)}, {verbPull, frontier}, {verbAck, frontier}},
		{{verbHello, protocolVersion, encodeJSON(beta)}, {verbMerge, encodeJSON(beginAll(mergeWhole))}, {verbNext}},
		{{verbChallenge, newNonce()}, {verbWelcome, protocolVersion, encodeJSON(welcome{Name: "beta", ID: 2, Origin: "2.0.1-aaaaaa"}), make([]byte, 32)}},
		{{verbStream, 1, 1}, {verbLog, codec, 2, packed}, {verbLog, codecNone, 3, stream[:5]}, {verbBeat, 1, 2, 3, 4, 5, frontier, "2 3", roster}},
		{{verbState, 1, statePartMore, []byte("ab")}, {verbState, 1, statePartLast, []byte("c")}, {verbMessage, "PUBLISH", "c", "text"}},
		{{verbMerging, encodeJSON(mergeOffer{Origin: "2.0.1-aaaaaa", Position: position})}, {verbKeys, encodeJSON(mergePlace{Phase: phaseLog}), codecNone, statePartLast, states}},
		{{verbNext}, {verbAsk, codecNone, appendNames([]keyState{{db: "0", key: "k"}})}, {verbState, 1, 0, "k"}, {verbError, codeBehind, "text"}},
	} {
		for at := range listeners {
			f.Add(uint8(at), unframed(frames))
			f.Add(uint8(at)|bySecret, unframed(frames))
		}
		f.Add(uint8(i)|asBytes, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
	}
	plainly, guarded := apart(f), apart(f, secrets(good))
	f.Fuzz(func(t *testing.T, at uint8, data []byte) {
		s := plainly
		if at&bySecret != 0 {
			s = guarded
		}
		if at&asBytes == 0 {
			data = reframed(data)
		}
		done := make(chan struct{})
		go func() { // ends with the data
			defer close(done)
			_ = listeners[int(at&^(asBytes|bySecret))%len(listeners)](s, saying{bytes.NewReader(data)})
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("it goes on although the peer is gone")
		}
	})
}

// FuzzStates: what is read of keys and their states is written the same again.
func FuzzStates(f *testing.F) {
	f.Add(appendStates(nil, "\x80", []keyState{{"0", "k", "state"}, {"15", "", ""}}))
	f.Add(appendNames([]keyState{{db: "0", key: "k"}}))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if vector, keys, err := parseStates(raw); err == nil {
			again, same, err := parseStates(appendStates(nil, vector, keys))
			if err != nil || again != vector || !reflect.DeepEqual(same, keys) || len(keys) > maxStates {
				t.Fatalf("%q %q: %v", again, same, err)
			}
		}
		if keys, err := parseNames(raw); err == nil {
			same, err := parseNames(appendNames(keys))
			if err != nil || !reflect.DeepEqual(same, keys) || len(keys) > maxStates {
				t.Fatalf("%q: %v", same, err)
			}
		}
	})
}

func TestPiecesOfTooManyKeysAreRefused(t *testing.T) {
	many := make([]keyState, maxStates+1)
	if _, _, err := parseStates(appendStates(nil, "", many)); err == nil {
		t.Error("states without end are taken")
	}
	if _, err := parseNames(appendNames(many)); err == nil {
		t.Error("names without end are taken")
	}
	if _, keys, err := parseStates(appendStates(nil, "", many[1:])); err != nil || len(keys) != maxStates {
		t.Errorf("%d keys: %v", len(keys), err)
	}
}

// FuzzBeat: a heartbeat that is taken says nothing that has no end, and is the same when it is passed on.
func FuzzBeat(f *testing.F) {
	f.Add("1", "2", "3", "4", "5", []byte{0x80}, "1 63", []byte("[]"))
	f.Add("9223372036854775807", "0", "9223372036854775807", "9007199254740993", "1", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, "64", []byte("{"))
	s := apart(f)
	f.Fuzz(func(t *testing.T, now, echo, held, tail, added string, frontier []byte, ids string, roster []byte) {
		conn := opened(s, saying{bytes.NewReader(framed([]any{verbBeat, now, echo, held, tail, added, frontier, ids, roster}))})
		got, err := conn.read()
		if err != nil {
			return // larger than a frame
		}
		b, err := got.asBeat()
		if err != nil {
			return
		}
		if len(b.apart) > crdtmeta.MaxRegion || len(b.frontier) > crdtmeta.MaxOrigins || len(b.roster) > maxRosterBytes {
			t.Fatalf("%d regions apart, %d origins, %d bytes of membership", len(b.apart), len(b.frontier), len(b.roster))
		}
		var clock peerClock
		clock.incoming(b, time.UnixMilli(1<<40))
		clock.incoming(b, time.UnixMilli(1<<40+1))
		_, _ = clock.state()
		status := newLinkStatus("beta", &signal{})
		status.began(0)
		status.heard(b)
		_ = status.snapshot(time.Now(), time.Now())
		_ = s.hearRoster(t.Context(), b.roster)
	})
}

// What a server says before it has proved who it is changes nothing: not even that its log is too short.
func TestStrangersDoNotBeginMerges(t *testing.T) {
	s := apart(t, secrets(good))
	p := newTestPuller(s)
	frames := newFrameConn(saying{bytes.NewReader(framed([]any{verbError, codeBehind, "text"}))}, time.Time{})
	_, err := p.hearWelcome(t.Context(), frames, p.prepare(nil))
	p.lost("addr", false, p.explain(frames, err))
	if p.behind || p.status.State != StateRefused {
		t.Errorf("behind: %t, state %s", p.behind, p.status.State)
	}
}

// Places are for each host and each region, so that nobody takes them all.
func TestOneHostDoesNotTakeAllPlaces(t *testing.T) {
	c := newCrowd(10, 3)
	for i, want := range []bool{true, true, true, false} {
		if c.enter("loud") != want {
			t.Errorf("place %d: %t", i, !want)
		}
	}
	for _, kind := range strings.Fields("a b c d e f g") {
		if !c.enter(kind) {
			t.Errorf("%s finds no place", kind)
		}
	}
	if c.enter("h") {
		t.Error("there are more than may be")
	}
	c.leave("loud")
	if !c.enter("loud") || c.enter("h") {
		t.Error("a place that is free again is not given, or twice")
	}
	if len(c.kinds) != 8 {
		t.Errorf("%d kinds are remembered", len(c.kinds))
	}
}
