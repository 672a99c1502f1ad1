package syncer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// listed is what a source hands out, all of it.
func listed(t *testing.T, m *mergeSource) (names []string) {
	t.Helper()
	for !m.place.End {
		keys, err := m.batch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			names = append(names, key.db+":"+key.key)
		}
		m.took(len(keys))
	}
	return names
}

// stopped is a region that runs nothing, with a collector to call.
func stopped(t *testing.T) (*testRegion, *collector) {
	r := newRegions(t, 1)[0]
	s, err := New(r.config(nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Syncer = s
	return r, newCollector(&leader{Syncer: s})
}

func sourceOf(t *testing.T, r *testRegion, since crdtmeta.Time) *mergeSource {
	info, err := r.region.history(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return &mergeSource{
		server: &server{Syncer: r.Syncer}, next: mergePlace{Phase: phaseLog, Until: since, Scan: mergeCursor{Done: true}}, upto: info.last,
		given: newNameSet(),
	}
}

// A key that changed before the merge began, and whose entry goes meanwhile, is found although its name is noted by then under the
// time of a later entry.
func TestAMergeFindsKeysThatAreNotedForLaterChanges(t *testing.T) {
	r, c := stopped(t)
	ctx := context.Background()
	r.write("SET before 1", "SADD twice x")
	source := sourceOf(t, r, 0)
	r.write("SADD twice y", "SET after 1")
	end := sourceOf(t, r, 0).upto
	if err := c.makeWay(ctx, end); err != nil {
		t.Fatal(err)
	}
	if err := r.rdb.XTrimMinID(ctx, r.keys.log, end.ID()).Err(); err != nil {
		t.Fatal(err)
	}
	names := listed(t, source)
	for _, want := range []string{"0:before", "0:twice"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
}

// Names noted one by one, at the same time, and in other databases; each goes once.
func TestAMergeListsEveryNameOnce(t *testing.T) {
	r, c := stopped(t)
	ctx := context.Background()
	want := map[string]bool{}
	for i := range 3 * mergeStep {
		name := fmt.Sprintf("%d:k%d", i%3, i)
		want[name] = true
		at := crdtmeta.TimeAt(time.Now().UnixMilli()) - crdtmeta.Time(i/700)
		if err := c.noteKeys(ctx, map[string]int{name: 1}, at); err != nil {
			t.Fatal(err)
		}
	}
	r.write("SET k0 1", "SET other 1")
	want["0:other"] = true
	names := listed(t, sourceOf(t, r, 0))
	if len(names) != len(want) {
		t.Errorf("%d names, want %d", len(names), len(want))
	}
	for _, name := range names {
		if !want[name] {
			t.Errorf("unexpected %s", name)
		}
	}
}
