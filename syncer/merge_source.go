package syncer

import (
	"context"
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
	upto  crdtmeta.Time     // own time: later changes come with the log
	since crdtmeta.Frontier // of everything: changes up to there are merged
	peer  crdtmeta.Origin   // whose own effects it does not lack
	tail  crdtmeta.Time     // behind upto: names of crdt:gc were read up to here
	count int               // entries of the log read at once; follows their size
	left  []keyState        // of the step at work, not handed out
	next  mergePlace        // when left is empty

	given nameSet // because they changed
}

const (
	mergeStep  = 500       // names read at once
	mergeBatch = 128       // keys of one engine call
	mergeBytes = 256 << 10 // states of one call: about so many bytes
)

// batch gives the next keys, and where the enumeration stands behind them. End is set with the last ones, or after them.
func (m *mergeSource) batch(ctx context.Context) (keys []keyState, err error) {
	for len(m.left) == 0 && !m.place.End {
		m.place = m.next
		switch {
		case m.place.End:
		case m.place.Phase == phaseScan:
			err = m.scanStep(ctx)
		default:
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

// add takes a name as in crdt:gc.
func (m *mergeSource) add(name string) {
	db, key, _ := strings.Cut(name, ":")
	if m.given.add(db, key) {
		m.left = append(m.left, keyState{db: db, key: key})
	}
}

// scanStep reads a page of a database. A key that has only metadata is known by its companion.
func (m *mergeSource) scanStep(ctx context.Context) error {
	at := m.place.Scan
	names, cursor, err := m.scanPage(ctx, at.DB, at.Cursor, mergeStep)
	if err != nil {
		return err
	}
	db := strconv.Itoa(at.DB)
	for _, name := range names {
		key, as := name, db
		if strings.HasPrefix(name, m.cfg.Prefix) {
			var ok bool
			if key, ok = crdtmeta.KeyOf(m.cfg.Prefix, name); !ok {
				continue
			}
			as = "-" + db
		}
		if !m.given.has(db, key) {
			m.left = append(m.left, keyState{db: as, key: key})
		}
	}
	if cursor != 0 {
		m.next.Scan.Cursor = cursor
		return nil
	}
	databases, err := m.databases(ctx)
	if err != nil {
		return err
	}
	if i := sort.SearchInts(databases, at.DB+1); i < len(databases) {
		m.next.Scan = mergeCursor{DB: databases[i]}
	} else {
		m.next.Scan, m.next.End = mergeCursor{Done: true}, true
	}
	return nil
}

// logStep finds the keys that changed in the next stretch of the log: its entries name them, and crdt:gc those of entries that
// were trimmed. Names are noted there before an entry goes, so whoever reads the log first misses none.
func (m *mergeSource) logStep(ctx context.Context) error {
	if m.place.Until >= m.upto {
		return m.tailStep(ctx)
	}
	changed, err := m.changedKeys(ctx, m.place.Until, m.upto, m.count)
	if err != nil {
		return err
	}
	m.count = changed.next
	until := changed.last
	noted, err := m.noted(ctx, m.place.Until, &until)
	if err != nil {
		return err
	}
	for _, name := range noted {
		m.add(name)
	}
	for name := range changed.keys {
		m.add(name)
	}
	m.next.Until = until
	return nil
}

// tailStep reads the rest of crdt:gc. A name stands there under the last of several times, so one that was noted for a change
// before upto may have come to stand behind it, and the log need not say so.
func (m *mergeSource) tailStep(ctx context.Context) error {
	until := endOfTime
	noted, err := m.noted(ctx, max(m.upto, m.tail), &until)
	if err != nil {
		return err
	}
	for _, name := range noted {
		m.add(name)
	}
	if m.tail = until; until != endOfTime {
		return nil
	}
	if m.place.Scan.Done {
		m.next.End = true
	} else {
		m.next.Phase = phaseScan
	}
	named, err := m.named(ctx)
	if err == nil && !named {
		err = refuse(codeNotReady, "region '%s': changes were collected meanwhile", m.cfg.Region.Name)
	}
	return err
}

// named says that all changes since the peer's last connection have their names still: none of them is collected.
func (m *mergeSource) named(ctx context.Context) (bool, error) {
	collected, err := m.region.collected(ctx)
	return m.since == nil || !lacks(m.peer, m.since, collected), err
}

// endOfTime is above all times: they are exact in a Lua number.
const endOfTime = crdtmeta.Time(1 << 53)

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
