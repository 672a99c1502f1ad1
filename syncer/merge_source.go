package syncer

import (
	"context"
	"fmt"
	"hash/maphash"
	"sort"
	"strconv"
	"strings"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// mergeSource enumerates the keys that a merge is about, in the region that has them.
type mergeSource struct {
	*server
	place mergePlace
	upto  crdtmeta.Time // own time: later changes come with the log
	left  []keyState    // of the step at work, not handed out
	next  mergePlace    // when left is empty

	seed maphash.Seed
	seen map[uint64]struct{} // names handed out, so that what changes often goes once
}

const (
	mergeStep  = 500       // names read at once
	mergeBatch = 128       // keys of one engine call
	mergeNames = 1 << 21   // names remembered, about 40 MB
	mergeBytes = 256 << 10 // states of one call: about so many bytes
)

// batch gives the next keys, and where the enumeration stands behind them. End is set with the last ones, or after them.
func (m *mergeSource) batch(ctx context.Context) (keys []keyState, err error) {
	for len(m.left) == 0 && !m.place.End {
		m.place = m.next
		if m.place.End {
			break
		}
		if m.place.Phase == phaseScan {
			err = m.scanStep(ctx)
		} else {
			err = m.logStep(ctx)
		}
		if err != nil || ctx.Err() != nil {
			return nil, err
		}
	}
	n := min(len(m.left), mergeBatch)
	return m.left[:n:n], nil
}

// took says how many of a batch were handed out.
func (m *mergeSource) took(n int) {
	if m.left = m.left[n:]; len(m.left) == 0 {
		m.left, m.place = nil, m.next
	}
}

// add leaves out what was handed out before. A name that is forgotten goes twice, which does no harm.
func (m *mergeSource) add(db, key string) {
	hash := maphash.String(m.seed, db+":"+key)
	if _, twice := m.seen[hash]; twice {
		return
	}
	if len(m.seen) < mergeNames {
		m.seen[hash] = struct{}{}
	}
	m.left = append(m.left, keyState{db: db, key: key})
}

// scanStep reads a page of a database. A key that has only metadata is known by its companion.
func (m *mergeSource) scanStep(ctx context.Context) error {
	names, cursor, err := m.scanPage(ctx, m.place.DB, m.place.Cursor)
	if err != nil {
		return err
	}
	db := strconv.Itoa(m.place.DB)
	for _, name := range names {
		if !strings.HasPrefix(name, m.cfg.Prefix) {
			m.left = append(m.left, keyState{db: db, key: name})
		} else if key, ok := crdtmeta.KeyOf(m.cfg.Prefix, name); ok {
			m.left = append(m.left, keyState{db: "-" + db, key: key})
		}
	}
	m.next.Cursor = cursor
	if cursor != 0 {
		return nil
	}
	databases, err := m.databases(ctx)
	if err != nil {
		return err
	}
	i := sort.SearchInts(databases, m.place.DB+1)
	if i < len(databases) {
		m.next.DB = databases[i]
	} else {
		m.next.Phase, m.next.DB = phaseLog, 0
	}
	return nil
}

// scanPage is a page of SCAN in a database.
func (s *Syncer) scanPage(ctx context.Context, db int, cursor uint64) (names []string, next uint64, err error) {
	conn := s.cfg.Redis.Conn()
	defer conn.Close()
	if err := conn.Select(ctx, db).Err(); err != nil {
		return nil, 0, err
	}
	defer conn.Select(context.WithoutCancel(ctx), 0) // it goes back to a pool
	return conn.Scan(ctx, cursor, "*", mergeStep).Result()
}

// databases lists, in order, those that hold keys.
func (s *Syncer) databases(ctx context.Context) ([]int, error) {
	text, err := s.cfg.Redis.Info(ctx, "keyspace").Result()
	if err != nil {
		return nil, err
	}
	var list []int
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, ":")
		if digits, found := strings.CutPrefix(name, "db"); found {
			if db, err := strconv.Atoi(digits); err == nil {
				list = append(list, db)
			}
		}
	}
	sort.Ints(list)
	return list, nil
}

// logStep finds the keys that changed in the next stretch of the log: its entries name them, and crdt:gc those of entries that
// were trimmed. Names are noted there before an entry goes, so whoever reads the log first misses none.
func (m *mergeSource) logStep(ctx context.Context) error {
	after, upto := m.place.Until, m.upto
	entries, err := m.cfg.Redis.Do(ctx, "XRANGE", m.keys.log, "("+after.ID(), upto.ID(), "COUNT", readMax).Slice()
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	until := upto
	type change struct {
		t     crdtmeta.Time
		names map[string]int
	}
	changes := make([]change, 0, len(entries))
	for _, e := range entries {
		c := change{names: map[string]int{}}
		if c.t, _, err = gather(c.names, e); err != nil {
			return fmt.Errorf("%s: %w", m.keys.log, err)
		}
		changes = append(changes, c)
	}
	if len(entries) == readMax {
		until = changes[len(changes)-1].t
	}
	noted, err := m.noted(ctx, after, &until)
	if err != nil {
		return err
	}
	for _, name := range noted {
		db, key, _ := strings.Cut(name, ":")
		m.add(db, key)
	}
	for _, c := range changes {
		if c.t > until {
			break
		}
		for name := range c.names {
			db, key, _ := strings.Cut(name, ":")
			m.add(db, key)
		}
	}
	m.next.Until = until
	m.next.End = until >= upto
	return nil
}

// noted lists names of crdt:gc with a time behind after, up to until, which comes down when they are too many. Names of one time
// are not divided.
func (m *mergeSource) noted(ctx context.Context, after crdtmeta.Time, until *crdtmeta.Time) ([]string, error) {
	read := func(from, to string, count int64) ([]redis.Z, error) {
		return m.cfg.Redis.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: m.keys.gc, ByScore: true, Start: from, Stop: to, Count: count,
		}).Result()
	}
	found, err := read("("+after.String(), until.String(), mergeStep)
	if err != nil {
		return nil, err
	}
	if len(found) == mergeStep {
		*until = crdtmeta.Time(found[len(found)-1].Score)
		last, err := read(until.String(), until.String(), -1)
		if err != nil {
			return nil, err
		}
		found = append(found, last...)
	}
	names := make([]string, len(found))
	for i, z := range found {
		names[i], _ = z.Member.(string)
	}
	return names, nil
}
