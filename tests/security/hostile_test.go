package security

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"

	"github.com/vmihailenco/msgpack/v5"
)

// frame is one message of the peer link.
func frame(values ...any) []byte {
	words := make([]string, len(values))
	for i, value := range values {
		if raw, ok := value.([]byte); ok {
			value = string(raw)
		}
		words[i] = fmt.Sprint(value)
	}
	return redistest.AppendCommand(nil, words...)
}

// readFrame reads one.
func readFrame(in *bufio.Reader) ([]string, error) {
	reply, err := redistest.ReadReply(in)
	return reply.Strings(), err
}

// recorder is a listener in the place of a peer port. It keeps what comes in, and passes it on.
type recorder struct {
	addr string

	mu    sync.Mutex
	heard [][]byte // of each connection
}

func record(t *testing.T, target string) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: listener.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	context.AfterFunc(ctx, func() { listener.Close() })
	running.Go(func() { // ends with ctx
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.pass(ctx, near, target) }) // ends with its connections, or ctx
		}
	})
	return r
}

func (r *recorder) pass(ctx context.Context, near net.Conn, target string) {
	defer near.Close()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	r.mu.Lock()
	at := len(r.heard)
	r.heard = append(r.heard, nil)
	r.mu.Unlock()
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() { _, _ = io.Copy(near, far); near.Close() }) // ends with far
	buf := make([]byte, 4096)
	for {
		n, err := near.Read(buf)
		if n > 0 {
			r.mu.Lock()
			r.heard[at] = append(r.heard[at], buf[:n]...)
			r.mu.Unlock()
			_, _ = far.Write(buf[:n])
		}
		if err != nil {
			far.Close()
			return
		}
	}
}

// longest is what a connection said that said most.
func (r *recorder) longest() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.MaxFunc(append(r.heard, nil), func(a, b []byte) int { return len(a) - len(b) })
}

// strangers says things to ports from an address of their own, so that it is seen whose places they take.
type strangers struct {
	t      *testing.T
	dialer net.Dialer
}

func newStrangers(t *testing.T) strangers {
	return strangers{t, net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}}
}

// say connects, says something, and reads what is answered until the other side ends it.
func (s strangers) say(addr string, words []byte) []byte {
	conn, err := s.dialer.Dial("tcp", addr)
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = conn.Write(words)
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if err != nil && os.IsTimeout(err) {
		s.t.Errorf("%.60q: still open after %v", words, soon)
	}
	return answer
}

// crowd keeps connections open until ctx ends, and says a byte on each now and then; ended ones are replaced.
func (s strangers) crowd(ctx context.Context, addr string, count int, words []byte) *sync.WaitGroup {
	var running sync.WaitGroup
	for range count {
		running.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				conn, err := s.dialer.DialContext(ctx, "tcp", addr)
				if err != nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				for i := 0; ctx.Err() == nil; i++ {
					if _, err := conn.Write(words[i%len(words):][:1]); err != nil {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				conn.Close()
			}
		})
	}
	return &running
}

// most is how much memory of a proxy all that may cost: its limits for strangers come to a small part of it.
const most = 96 << 20

// names lists the keys of a region that begin with the prefix.
func names(t *testing.T, region *redistest.Region) []string {
	t.Helper()
	list := region.Redis.Client().Keys(t.Context(), "crdt:*").Val()
	slices.Sort(list)
	return list
}

// insults are what no peer says.
func insults(version string) map[string][]byte {
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(rand.IntN(256))
	}
	hello := func(json string) []byte { return frame("HELLO", version, json, strings.Repeat("n", 32)) }
	return map[string][]byte{
		"nothing of sense":         random,
		"a browser":                []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":                      []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"a huge string":            []byte("*1\r\n$2000000000\r\n"),
		"a string past 64 bits":    []byte("*1\r\n$99999999999999999999\r\n"),
		"a huge array":             []byte("*2000000000\r\n$1\r\na\r\n"),
		"arrays in arrays":         bytes.Repeat([]byte("*1\r\n"), 10_000),
		"a line without end":       bytes.Repeat([]byte("*"), 1<<20),
		"a large frame":            frame("HELLO", version, strings.Repeat("x", 1<<20)),
		"many frames":              bytes.Repeat(frame("PING"), 10_000),
		"no version":               frame("HELLO"),
		"another version":          frame("HELLO", "999", "{}"),
		"no JSON":                  hello("{"),
		"JSON in JSON":             hello(strings.Repeat("[", 3000)),
		"no region":                hello("{}"),
		"this region itself":       hello(`{"name":"A","id":1,"expect_name":"A"}`),
		"an id of another one":     hello(`{"name":"B","id":1,"expect_name":"A","origin":"1.0.1-aaaaaa"}`),
		"an id that is none":       hello(`{"name":"B","id":-7,"expect_name":"A","origin":"-7.0.1-aaaaaa"}`),
		"a region nobody knows":    hello(`{"name":"Z","id":9,"expect_name":"A","origin":"9.0.1-aaaaaa"}`),
		"for another region":       hello(`{"name":"B","id":2,"expect_name":"Q","origin":"2.0.1-aaaaaa"}`),
		"a name of all kinds":      hello(`{"name":"crdt:log\u0000\n","id":9,"expect_name":"A"}`),
		"a proof of nothing":       append(hello(`{"name":"B","id":2,"expect_name":"A","origin":"2.0.1-aaaaaa"}`), frame("PROOF", strings.Repeat("p", 32))...),
		"a pull before the answer": append(hello(`{"name":"B","id":9,"expect_name":"A","origin":"9.0.1-aaaaaa"}`), frame("PULL", "\x80")...),
	}
}

// version is the one that a puller speaks.
func version(heard []byte) string {
	words, err := readFrame(bufio.NewReader(bytes.NewReader(heard)))
	if err != nil || len(words) < 2 {
		return ""
	}
	return words[1]
}

func TestStrangersAtThePeerPortDoNoHarm(t *testing.T) {
	redistest.Slow(t)
	for _, test := range []struct {
		name  string
		flags func(*redistest.Authority) redistest.ClusterOption
	}{
		{"open", func(*redistest.Authority) redistest.ClusterOption { return redistest.WithFlags() }},
		{"by secret", func(*redistest.Authority) redistest.ClusterOption {
			return redistest.WithFlags("--peer-secret=" + secret)
		}},
		{"under TLS", func(a *redistest.Authority) redistest.ClusterOption {
			return redistest.WithFlagsOf(func(region string) []string { return peerFlags(a, a.Issue(region, redistest.OfRegion(region))) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := redistest.StartCluster(t, 2, test.flags(redistest.NewAuthority(t)))
			a, b := c.Region("A"), c.Region("B")
			// A moves, so that B goes through the recorder.
			port := redistest.FreeAddr(t)
			r := record(t, port)
			a.Proxy().AddFlags("--peer-listen=" + port)
			b.Proxy().AddFlags("--peer=A=" + r.addr)
			a.Proxy().Restart()
			b.Proxy().Restart()
			streams(t, c)
			replicate(t, c, "before")
			before, memory := names(t, a), a.Proxy().PeakMemory()
			spoken := version(r.longest())
			if spoken == "" && test.name != "under TLS" {
				t.Fatal("nothing was recorded")
			}

			s := newStrangers(t)
			for what, words := range insults(spoken) {
				if answer := s.say(port, words); bytes.Contains(answer, []byte("WELCOME")) && test.name != "open" {
					t.Errorf("%s is welcome: %.200q", what, answer)
				}
			}
			// What a region has said before is of no use to others, nor is it twice.
			for range 3 {
				if answer := s.say(port, r.longest()); bytes.Contains(answer, []byte("WELCOME")) && test.name != "open" {
					t.Errorf("what was recorded is welcome: %.200q", answer)
				}
			}
			// A crowd that says nothing, little, or half of something does not keep the others from coming back.
			ctx, cancel := context.WithCancel(t.Context())
			crowds := []*sync.WaitGroup{
				s.crowd(ctx, port, 150, []byte("*3\r\n$5\r\nHELLO\r\n")), s.crowd(ctx, port, 50, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")),
			}
			b.Proxy().Restart()
			streams(t, c)
			replicate(t, c, "beside")
			cancel()
			for _, crowd := range crowds {
				crowd.Wait()
			}
			if now := a.Proxy().PeakMemory(); now > memory+most*redistest.MemoryFactor() {
				t.Errorf("%d MiB of memory, before %d", now>>20, memory>>20)
			}
			replicate(t, c, "after")
			// B, whose port nobody has come to, has the same keys of its own.
			for _, name := range names(t, a) {
				if !slices.Contains(before, name) && !slices.Contains(names(t, b), name) {
					t.Errorf("a new key: %s", name)
				}
			}
			if lines := strings.Count(a.Proxy().Log(), "\n"); lines > 400 {
				t.Errorf("%d lines of log", lines)
			}
		})
	}
}

// packEntry packs a log entry as it travels.
func packEntry(t *testing.T, at uint64, body ...any) []byte {
	t.Helper()
	var packed bytes.Buffer
	enc := msgpack.NewEncoder(&packed)
	enc.UseCompactInts(true)
	if err := enc.Encode(body); err != nil {
		t.Fatal(err)
	}
	buf := binary.AppendUvarint(nil, at)
	buf = binary.AppendUvarint(buf, uint64(packed.Len()))
	return append(binary.AppendUvarint(buf, 0), packed.Bytes()...)
}

// A member that went bad answers a puller with all kinds of things. What it says of data may count; keys of Anabranch's own stay as
// they are, the process lives, and what other regions say arrives.
func TestAMemberThatWentBadDoesNoHarm(t *testing.T) {
	redistest.Slow(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const origin = "3.0.1-aaaaaa"
	now := uint64(time.Now().UnixMilli()) * 2048
	begin := append(packEntry(t, now, "t", origin, "", 0), packEntry(t, now+1, "f", origin, map[string]any{})...)
	effects := func(values ...any) []byte {
		return frame("LOG", "none", 3, append(bytes.Clone(begin), packEntry(t, now+2, append([]any{"e", origin, ""}, values...)...)...))
	}
	bomb := binary.AppendUvarint(nil, 1<<40) // an s2 block that says it becomes a terabyte
	lies := [][]byte{
		effects("S", "crdt:log", "gone"), effects("S", "crdt:self", "mine"), effects("S", "crdt:0{k}", "\x01"), effects("R", "crdt:frontier", []any{}),
		effects("a", "h", "crdt:members", 1, []any{"9", "x"}), effects("a", "", "k", 1, []any{"", ""}), effects("a", "n", "k", 1, []any{"1.0.1", "1"}),
		effects("D", -1, "S", "k", "v"), effects("D", 1<<40, "S", "k", "v"), effects("S", nil, "v"), effects("S", "k", []any{[]any{}}), effects("O", "k", "\x00\x01\xff"),
		effects("d", "l", []any{"`\x00\x00\x00\x00\xff\xff\xff\xff"}), effects("i", "k", "n", "", 0, 0, "nan", 0), effects("F", -7, []any{}), effects("?", 1), effects("S"),
		frame("LOG", "s2", 3, append(bomb, 1, 2, 3)), frame("LOG", "none", 3, binary.AppendUvarint(binary.AppendUvarint(nil, now), 1<<62)), frame("LOG", "zip", 3, "x"),
		frame("LOG", "none", 3, bytes.Repeat([]byte{0xff}, 100)), frame("LOG"), frame("STATE", 7, "more", strings.Repeat("x", 1<<20)), frame("MESSAGE", "FLUSHALL", "a", "b"),
		frame("MESSAGE", "SPUBLISH", "crdt:messages", "b"), frame("BEAT", 1, 1, 1, 1, 1, "\xdf\xff\xff\xff\xff", "1", "[]"), frame("BEAT", 1, 1, 1, 1, 1, "\x80", strings.Repeat("1 ", 1000), "[]"),
		frame("BEAT", 1, 1, 1, 1, 1, "\x80", "", `[{"name":"A","id":3,"addrs":["x"],"at":-5}]`), frame("BEAT", 1, 1, 1, 1, 1, "\x80", "", strings.Repeat(`[`, 100_000)),
		frame("BEAT", strings.Repeat("9", 19), strings.Repeat("9", 18), strings.Repeat("9", 18), 1, 1, "\x80", "", ""), frame("KEYS", "{}", "none", "last", "\x00"), frame("ERROR", "behind", "x"), []byte("*1\r\n$4000000000\r\n"),
		frame(strings.Repeat("V", 1<<20)), frame("NEXT"), frame(),
	}
	var mu sync.Mutex
	told := 0
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			lie := lies[told%len(lies)]
			told++
			mu.Unlock()
			serving.Go(func() { // ends at its deadline
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
				in := bufio.NewReader(conn)
				hello, err := readFrame(in)
				if err != nil || len(hello) < 2 {
					return
				}
				_, _ = conn.Write(frame("WELCOME", hello[1], `{"name":"C","id":3,"run_id":"bad","origin":"`+origin+`","tail":1,"epochs":{},"born":"empty","collected":{},"frontier":{}}`))
				if asked, err := readFrame(in); err != nil || len(asked) == 0 {
					return
				} else if asked[0] == "MERGE" {
					_, _ = conn.Write(frame("MERGING", `{"origin":"`+origin+`","position":"gIA=","total":1}`))
					_, _ = conn.Write(frame("KEYS", `{"phase":"log","end":true}`, "none", "last", "\x01\x80\x010\x08crdt:log\x00"))
				} else {
					_, _ = conn.Write(frame("STREAM", 0, 0))
				}
				_, _ = conn.Write(lie)
				_, _ = io.Copy(io.Discard, in)
			})
		}
	})
	c := redistest.StartCluster(t, 2, redistest.WithFlags("--peer=C="+listener.Addr().String(), "--peer-silence=2s"))
	defer func() { listener.Close(); serving.Wait() }()
	a := c.Region("A")
	self := a.Redis.Client().Get(t.Context(), "crdt:self").Val()
	memory := a.Proxy().PeakMemory()
	began := time.Now()
	eventually := func() bool { mu.Lock(); defer mu.Unlock(); return told >= 2*len(lies) }
	for !eventually() && time.Since(began) < 5*time.Minute {
		time.Sleep(100 * time.Millisecond)
	}
	if !eventually() {
		t.Errorf("only %d of %d lies were heard", told, 2*len(lies))
	}
	for _, region := range c.Regions {
		region.Dial().Must("SADD", "s", region.Name)
	}
	conn := a.Dial()
	for deadline := time.Now().Add(soon); conn.Must("SCARD", "s").Int() < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what B says does not arrive any more")
		}
	}
	if now := a.Redis.Client().Get(t.Context(), "crdt:self").Val(); now != self {
		t.Errorf("crdt:self was %q, and is %q", self, now)
	}
	for _, name := range names(t, a) {
		if strings.Contains(name, "{crdt:") || name == "crdt:0{k}" && a.Redis.Client().Get(t.Context(), name).Val() == "\x01" {
			t.Errorf("a key that no region makes: %q", name)
		}
	}
	if kind := a.Redis.Client().Type(t.Context(), "crdt:log").Val(); kind != "stream" {
		t.Errorf("crdt:log is a %s", kind)
	}
	if now := a.Proxy().PeakMemory(); now > memory+most*redistest.MemoryFactor() {
		t.Errorf("%d MiB of memory, before %d", now>>20, memory>>20)
	}
}

func TestBadRequestsAtTheAdminPortDoNoHarm(t *testing.T) {
	redistest.Slow(t)
	c := redistest.StartCluster(t, 2)
	streams(t, c)
	proxy := c.Region("A").Proxy()
	memory := proxy.PeakMemory()
	s := newStrangers(t)
	for what, words := range map[string][]byte{
		"no HTTP":           []byte("*1\r\n$4\r\nPING\r\n\r\n"),
		"a long line":       append([]byte("GET /"), bytes.Repeat([]byte("x"), 1<<20)...),
		"many headers":      append([]byte("GET /status HTTP/1.1\r\nHost: x\r\n"), bytes.Repeat([]byte("X-A: b\r\n"), 100_000)...),
		"a large body":      append([]byte("POST /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1073741824\r\n\r\n"), bytes.Repeat([]byte("x"), 1<<20)...),
		"a body that waits": []byte("GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"),
		"chunks":            []byte("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
		"a path upwards":    []byte("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"a method":          []byte("DELETE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"an odd number":     []byte("GET /readyz?max_lag=-1e99999 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		"half a request":    []byte("GET /status HTTP/1.1\r\nHost: x\r\n"),
	} {
		if answer := s.say(proxy.AdminAddr, words); bytes.Contains(answer, []byte("root:")) || bytes.HasPrefix(answer, []byte("HTTP/1.1 5")) {
			t.Errorf("%s: %.200q", what, answer)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	crowd := s.crowd(ctx, proxy.AdminAddr, 200, []byte("GET /status HTTP/1.1\r\nX-A: bbbbbbbbbbbb"))
	eventually(t, "it answers beside a crowd", func() bool { return ready(proxy) })
	replicate(t, c, "s")
	cancel()
	crowd.Wait()
	if now := proxy.PeakMemory(); now > memory+most*redistest.MemoryFactor() {
		t.Errorf("%d MiB of memory, before %d", now>>20, memory>>20)
	}
	if !ready(proxy) {
		t.Error("it is not ready any more")
	}
}
