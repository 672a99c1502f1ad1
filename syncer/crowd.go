package syncer

import "sync"

// crowd counts connections, all of them and those of each kind, and knows how many may be.
type crowd struct {
	most     int // of all
	mostEach int // of one kind

	mu    sync.Mutex
	all   int
	kinds map[string]int
}

func newCrowd(most, mostEach int) *crowd {
	return &crowd{most: most, mostEach: mostEach, kinds: map[string]int{}}
}

// enter says whether one more may come. Whoever came in has to leave.
func (c *crowd) enter(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= c.most || c.kinds[kind] >= c.mostEach {
		return false
	}
	c.all++
	c.kinds[kind]++
	return true
}

func (c *crowd) leave(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.kinds[kind]--; c.kinds[kind] == 0 {
		delete(c.kinds, kind)
	}
}
