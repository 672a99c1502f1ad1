package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Direction is a way through a relay, seen from whoever connects to it. Directions can be joined with |.
type Direction uint8

// The two directions, and both.
const (
	Up   Direction = 1 << iota // from the one that connects to the target
	Down                       // back
	Both = Up | Down
)

// Trouble is what a relay does to its connections; the zero value is none.
type Trouble struct {
	Cut            bool          // connections are closed, and new ones too
	Silent         Direction     // bytes of these directions are held back; connections stay open
	Latency        time.Duration // each byte arrives so much later
	BytesPerSecond int           // of each connection and direction; 0 is no limit
	Barred         []int         // processes whose connections are silent in both directions, as in a network that is split
}

// Relay is a TCP relay on loopback that a test can disturb. Its methods may be called by several goroutines.
type Relay struct {
	Addr string // what to connect to

	target   string
	listener net.Listener
	running  sync.WaitGroup
	carried  atomic.Int64

	mu      sync.Mutex
	trouble Trouble
	changed chan struct{}         // closed at each change of trouble
	open    map[*relayed]struct{} // connections
}

// relayed is one connection through a relay.
type relayed struct {
	near, far net.Conn
	ended     chan struct{}
	once      sync.Once

	mu     sync.Mutex
	inode  string       // of the socket of whoever connected, once somebody asked for the owner
	owners map[int]bool // processes that were looked at
}

// of says whether one of these processes has connected.
func (c *relayed) of(pids []int) bool {
	if len(pids) == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inode == "" {
		c.inode = socketInode(c.near)
	}
	for _, pid := range pids {
		is, known := c.owners[pid]
		if !known {
			is = owns(pid, c.inode)
			c.owners[pid] = is
		}
		if is {
			return true
		}
	}
	return false
}

func (c *relayed) end() {
	c.once.Do(func() {
		close(c.ended)
		c.near.Close()
		c.far.Close()
	})
}

// relayChunk is bytes on their way.
type relayChunk struct {
	data []byte
	due  time.Time
}

const (
	relayChunkBytes = 8 << 10
	relayChunks     = 256 // on their way in one direction; then the sender is not read
)

// StartRelay runs a relay to target until the test ends. The target need not be there yet.
func StartRelay(t testing.TB, target string) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatalf("redistest: relay: %v", err)
	}
	r := &Relay{
		Addr: listener.Addr().String(), target: target, listener: listener,
		changed: make(chan struct{}), open: map[*relayed]struct{}{},
	}
	r.running.Go(r.accept) // ends with the listener
	t.Cleanup(func() {
		listener.Close()
		r.Set(Trouble{Cut: true})
		r.running.Wait()
	})
	return r
}

// Set replaces what the relay does, to the connections that there are and to new ones.
func (r *Relay) Set(trouble Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = trouble
	close(r.changed)
	r.changed = make(chan struct{})
	if trouble.Cut {
		for c := range r.open {
			c.end()
		}
	}
}

// Carried is how many bytes have gone through so far, in both directions.
func (r *Relay) Carried() int64 { return r.carried.Load() }

func (r *Relay) now() (Trouble, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble, r.changed
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(near) }) // ends with the connection
	}
}

func (r *Relay) serve(near net.Conn) {
	if trouble, _ := r.now(); trouble.Cut {
		near.Close()
		return
	}
	far, err := net.DialTimeout("tcp", r.target, time.Second)
	if err != nil {
		near.Close()
		return
	}
	c := &relayed{near: near, far: far, ended: make(chan struct{}), owners: map[int]bool{}}
	defer c.end()
	if !r.add(c) {
		return
	}
	var pumps sync.WaitGroup // each of the four ends when c does
	for _, way := range []struct {
		direction Direction
		from, to  net.Conn
	}{{Up, near, far}, {Down, far, near}} {
		chunks := make(chan relayChunk, relayChunks)
		pumps.Go(func() { r.read(c, way.from, chunks) })
		pumps.Go(func() { r.write(c, way.direction, way.to, chunks) })
	}
	pumps.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

// add notes a connection, unless the relay was cut meanwhile.
func (r *Relay) add(c *relayed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble.Cut {
		return false
	}
	r.open[c] = struct{}{}
	return true
}

func (r *Relay) read(c *relayed, from net.Conn, chunks chan<- relayChunk) {
	defer close(chunks) // what is on its way still arrives
	for {
		data := make([]byte, relayChunkBytes)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		trouble, _ := r.now()
		select {
		case chunks <- relayChunk{data[:n], time.Now().Add(trouble.Latency)}:
		case <-c.ended:
			return
		}
	}
}

func (r *Relay) write(c *relayed, direction Direction, to net.Conn, chunks <-chan relayChunk) {
	defer c.end()
	for chunk := range chunks {
		if !c.sleep(time.Until(chunk.due)) || !r.awaitVoice(c, direction) {
			return
		}
		if trouble, _ := r.now(); trouble.BytesPerSecond > 0 {
			if !c.sleep(time.Duration(len(chunk.data)) * time.Second / time.Duration(trouble.BytesPerSecond)) {
				return
			}
		}
		if _, err := to.Write(chunk.data); err != nil {
			return
		}
		r.carried.Add(int64(len(chunk.data)))
	}
}

// awaitVoice waits while the direction is silent. It answers false when the connection ends.
func (r *Relay) awaitVoice(c *relayed, direction Direction) bool {
	for {
		trouble, changed := r.now()
		if trouble.Silent&direction == 0 && !c.of(trouble.Barred) {
			return true
		}
		select {
		case <-changed:
		case <-c.ended:
			return false
		}
	}
}

// sleep answers false when the connection ends meanwhile.
func (c *relayed) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ended:
		return false
	}
}
