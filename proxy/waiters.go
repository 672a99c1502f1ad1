package proxy

import (
	"container/list"
	"sync"

	"anabranch/internal/backend"
)

// waiters knows who waits for which keys, in the order of their arrival. When a key has changed, those who wait for it try
// again one after the other, the longest waiting first, until one finds nothing.
//
//	enter ──► first attempt ──► served
//	              │ nothing
//	              ▼        wake-up: attempt ──► served
//	           waiting ◄──────────────┘ nothing, place kept
//	              │
//	              └──► given up: timeout, hang-up, CLIENT UNBLOCK, the end of the proxy
//
// Attempts are made without the lock; what an attempt is under way for cannot be given up, so nothing is taken for a client
// that is answered otherwise.
type waiters struct {
	mu      sync.Mutex
	queues  map[place]*waitQueue
	clients map[int64]*waiter // by the session's id
	nextSeq uint64
	asleep  int // clients whose first attempt found nothing

	listening  sync.Once     // begins with the first waiter
	refusals   chan struct{} // an attempt could not be made
	stop       chan struct{} // closed when the proxy ends
	goroutines sync.WaitGroup
}

// waitQueue is who waits for one key, by their groups.
type waitQueue struct {
	groups  map[string]*list.List
	running bool // a goroutine serves it
	again   bool // and shall go round once more
}

func newWaiters() *waiters {
	return &waiters{
		queues:   make(map[place]*waitQueue),
		clients:  make(map[int64]*waiter),
		refusals: make(chan struct{}, 1),
		stop:     make(chan struct{}),
	}
}

// enter makes the first attempt of a waiter that is queued. It returns the reply, or the words behind WAIT; both are nil when
// the client is gone. What somebody who waits longer has been woken for is not taken: the engine tells, and then everybody
// tries in turn.
func (q *waiters) enter(w *waiter) (reply []byte, words []string) {
	reply, words = w.first()
	if len(words) > wordIDs {
		w.goOnFrom(w.session.scan.Args, words[wordIDs:])
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if words == nil {
		q.remove(w)
	} else {
		w.asleep = true
		q.asleep++
	}
	q.release(w)
	if words != nil && words[wordLate] == "1" {
		for _, at := range w.places {
			q.wakeLocked(at)
		}
	}
	return reply, words
}

// The words behind WAIT.
const (
	wordTimeout = iota // ms
	wordLate           // 1: others must try first
	wordIDs            // and all further ones: where an XREAD goes on
)

// queue puts a waiter behind all others that wait for its keys, as in an attempt: enter must follow. It never blocks, so that a
// loop queues its clients in the order in which their commands arrive.
func (q *waiters) queue(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.nextSeq++
	w.seq, w.trying = q.nextSeq, make(chan struct{})
	w.spots = make([]*list.Element, len(w.places))
	q.clients[w.session.id] = w
	for i, at := range w.places {
		queue := q.queues[at]
		if queue == nil {
			queue = &waitQueue{groups: make(map[string]*list.List)}
			q.queues[at] = queue
		}
		members := queue.groups[w.group]
		if members == nil {
			members = list.New()
			queue.groups[w.group] = members
		}
		if last := members.Back(); last != nil && last.Value == w {
			continue // named twice
		}
		if members.Len() > 0 && (w.group == groupLists || w.group == groupSortedSets) {
			w.behind = append(w.behind, i+1)
		}
		w.spots[i] = members.PushBack(w)
	}
}

// acquire begins an attempt, or whatever else must not meet one, and reports whether the waiter still waits.
func (q *waiters) acquire(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w.trying != nil {
		under := w.trying
		q.mu.Unlock()
		<-under
		q.mu.Lock()
	}
	if w.over {
		return false
	}
	w.trying = make(chan struct{})
	return true
}

// release ends it. The lock must be held.
func (q *waiters) release(w *waiter) {
	close(w.trying)
	w.trying = nil
}

// remove takes a waiter from all queues for good. The lock must be held.
func (q *waiters) remove(w *waiter) {
	w.over = true
	if w.asleep {
		q.asleep--
	}
	delete(q.clients, w.session.id)
	for i, at := range w.places {
		if w.spots[i] == nil {
			continue
		}
		queue := q.queues[at]
		members := queue.groups[w.group]
		members.Remove(w.spots[i])
		if members.Len() == 0 {
			delete(queue.groups, w.group)
		}
		if len(queue.groups) == 0 {
			delete(q.queues, at)
		}
	}
}

// giveUp ends a wait from outside. answer is what the waiter's session shall tell its client; nil when it knows itself.
// It reports false when the waiter was served before.
func (q *waiters) giveUp(w *waiter, answer []byte) bool {
	if !q.acquire(w) {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(w)
	q.release(w)
	if answer != nil {
		w.answer <- answer
	}
	return true
}

// find returns the waiter of a session that is asleep, or nil.
func (q *waiters) find(id int64) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.clients[id]; w != nil && w.asleep {
		return w
	}
	return nil
}

// count is how many clients are asleep.
func (q *waiters) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.asleep
}

// wakeInOrder has those who wait for the keys that one step has changed try again, key after key, as Redis serves them.
func (q *waiters) wakeInOrder(keys []backend.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(keys) == 1 {
		q.wakeLocked(place{keys[0].DB, keys[0].Name})
		return
	}
	q.goroutines.Go(func() { // ends when a round of each found nothing more
		for _, key := range keys {
			at := place{key.DB, key.Name}
			q.mu.Lock()
			queue := q.begin(at)
			q.mu.Unlock()
			if queue != nil {
				q.serve(at, queue)
			}
		}
	})
}

func (q *waiters) wakeLocked(at place) {
	if queue := q.begin(at); queue != nil {
		q.goroutines.Go(func() { q.serve(at, queue) }) // ends when a round found nothing more
	}
}

// begin returns the queue that the caller shall serve; nil when nobody waits, or it is served and goes round once more. The
// lock must be held.
func (q *waiters) begin(at place) *waitQueue {
	queue := q.queues[at]
	switch {
	case queue == nil:
		return nil
	case queue.running:
		queue.again = true
		return nil
	}
	queue.running = true
	return queue
}

// wakeAll has everybody try again.
func (q *waiters) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at := range q.queues {
		q.wakeLocked(at)
	}
}

func (q *waiters) serve(at place, queue *waitQueue) {
	for {
		for _, group := range q.groups(queue) {
			q.serveGroup(at, group)
		}
		q.mu.Lock()
		if !queue.again {
			queue.running = false
			q.mu.Unlock()
			return
		}
		queue.again = false
		q.mu.Unlock()
	}
}

func (q *waiters) groups(queue *waitQueue) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var names []string
	for name := range queue.groups {
		names = append(names, name)
	}
	return names
}

// serveGroup lets the waiters of a group try one key, in their order, until one finds nothing; those that do not compete all
// try.
func (q *waiters) serveGroup(at place, group string) {
	var last uint64
	for {
		w := q.next(at, group, last)
		if w == nil {
			return
		}
		last = w.seq
		if tried, served := q.try(w, w.index(at)); tried && !served && group != "" {
			return
		}
	}
}

// next returns the oldest waiter of a group that is younger than the last one.
func (q *waiters) next(at place, group string, last uint64) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.queues[at]
	if queue == nil || queue.groups[group] == nil {
		return nil
	}
	for e := queue.groups[group].Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.seq > last {
			return w
		}
	}
	return nil
}

// try makes one attempt for a waiter and answers it when there was something.
func (q *waiters) try(w *waiter, number int) (tried, served bool) {
	if !q.acquire(w) {
		return false, false
	}
	var reply []byte
	if !w.gone() {
		reply = w.retry(number)
		tried = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if reply != nil {
		q.remove(w)
		w.answer <- reply
	}
	q.release(w)
	return tried, reply != nil
}
