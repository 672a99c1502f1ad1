package syncer

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

func TestPauseHoldsEffectsAndResumeTakesThem(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET x 1")
	synced(t, a)
	if err := b.Pause(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	a.write("SET x 2")
	b.write("SET y 1") // the other direction goes on
	eventually(t, "b's writes still go out", func() bool { return a.get("y") == "1" })
	eventually(t, "shown as paused", func() bool { return b.peer(a.name).State == StatePaused })
	time.Sleep(100 * time.Millisecond)
	if got := b.get("x"); got != "1" {
		t.Fatalf("x is %q in the paused region", got)
	}
	began := time.Now()
	if err := b.Resume(ctx, strconv.Itoa(a.id)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the effect arrives", func() bool { return b.get("x") == "2" })
	if took := time.Since(began); took > time.Second {
		t.Errorf("resuming took %v", took)
	}
	if err := b.Resume(ctx, a.name); err != nil {
		t.Errorf("resuming what is not paused: %v", err)
	}
}

func TestPauseWorksBeforeTheRegionWasEverMet(t *testing.T) {
	regions := newRegions(t, 3)
	a, b := regions[0], regions[1]
	b.run(peersOf(b, regions))
	if err := b.Pause(context.Background(), AllRegions); err != nil {
		t.Fatal(err)
	}
	a.write("SET x 1")
	a.run(peersOf(a, regions))
	eventually(t, "the link is up, and paused", func() bool { return b.peer(a.name).State == StatePaused })
	time.Sleep(200 * time.Millisecond)
	if got := b.get("x"); got != "" {
		t.Fatalf("x is %q although every region was paused", got)
	}
	if state := b.peer(a.name).State; state != StatePaused {
		t.Errorf("state %s", state)
	}
	if err := b.Resume(context.Background(), AllRegions); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the effect arrives", func() bool { return b.get("x") == "1" })
}

func TestPauseOfAnUnknownRegion(t *testing.T) {
	r := newRegions(t, 1)[0]
	r.run(map[string][]string{"beta": {"127.0.0.1:1"}})
	for region, want := range map[string]string{
		"nobody": "ERR unknown region 'nobody'",
		"9":      "ERR unknown region '9'",
		"alpha":  "ERR region 'alpha' is this region itself",
		"1":      "ERR region '1' is this region itself",
	} {
		if err := r.Pause(context.Background(), region); err == nil || err.Error() != want {
			t.Errorf("%s: %v", region, err)
		}
	}
}

func TestWaitCountsRegionsThatHaveEverything(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	a.write("SET x 1")
	synced(t, a)
	if err := c.Pause(context.Background(), a.name); err != nil {
		t.Fatal(err)
	}
	a.write("SET x 2")
	ctx := context.Background()
	if n, err := a.Wait(ctx, 1, time.Second); n != 1 || err != nil {
		t.Errorf("for one region: %d, %v", n, err)
	}
	began := time.Now()
	n, err := a.Wait(ctx, 2, 200*time.Millisecond)
	if n != 1 || err != nil || time.Since(began) < 200*time.Millisecond {
		t.Errorf("for two regions of which one is paused: %d, %v after %v", n, err, time.Since(began))
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := a.Wait(short, 2, 0); err == nil {
		t.Error("a wait without limit ended without reason")
	}
	if n, err := a.Wait(ctx, 0, 0); n < 1 || err != nil {
		t.Errorf("for no region: %d, %v", n, err)
	}
	if err := c.Resume(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Wait(ctx, 2, 5*time.Second); n != 2 || err != nil {
		t.Errorf("after the resume: %d, %v", n, err)
	}
	_ = b
}

func TestWaitAnswersOnAProxyThatServesNobody(t *testing.T) {
	regions := mesh(t, 2)
	a := regions[0]
	cfg := a.config(peersOf(a, regions))
	cfg.PeerListen, cfg.RunID = "", "another proxy"
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.write("SET x 1")
	if n, err := other.Wait(context.Background(), 1, 5*time.Second); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A server that restarts, or another one that takes its place, is no answer.
func TestWaitOutlastsARestartOfRedis(t *testing.T) {
	regions := newRegionsWith(t, 2, redistest.WithAOF())
	a, b := regions[0], regions[1]
	for _, r := range regions {
		r.run(peersOf(r, regions))
	}
	ctx := context.Background()
	synced(t, regions...)
	if err := b.Pause(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	a.write("SET x 1")
	type outcome struct {
		n   int
		err error
	}
	done := make(chan outcome, 1)
	go func() { // ends with its limit
		n, err := a.Wait(ctx, 1, 15*time.Second)
		done <- outcome{n, err}
	}()
	time.Sleep(200 * time.Millisecond)
	a.server.Kill()
	time.Sleep(2 * time.Second)
	a.server.Restart()
	if err := b.Resume(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.n != 1 || got.err != nil {
		t.Errorf("%d regions have it: %v", got.n, got.err)
	}
}

func TestWaitIsFast(t *testing.T) {
	regions := mesh(t, 2)
	a := regions[0]
	a.write("SET x 1")
	synced(t, a)
	var total time.Duration
	const rounds = 50
	for i := range rounds {
		a.write("SET x " + strconv.Itoa(i))
		began := time.Now()
		if n, err := a.Wait(context.Background(), 1, 5*time.Second); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		total += time.Since(began)
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("write to acknowledgement by the other region: %v on average", total/rounds)
	if total/rounds > 100*time.Millisecond {
		t.Errorf("%v on average", total/rounds)
	}
}

func TestInfoAndStatusNameEveryField(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	a.write("SET x 1")
	b.write("SET x 2")
	synced(t, a, b)
	eventually(t, "published", func() bool { return a.peer(b.name).Heard.After(time.Time{}) && a.peer(b.name).EntriesApplied > 0 })
	info, err := a.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, f := range info {
		values[f.Name] = f.Value
	}
	for _, name := range []string{
		"crdt_config_version", "crdt_slots", "crdt_replid", "crdt_clock", "crdt_ovc", "crdt_sync_full", "crdt_sync_partial_ok",
		"crdt_sync_partial-err", "crdt_merge_reqs", "crdt_effect_reqs", "crdt_ovc_filtered_effect_reqs", "crdt_gc_pending",
		"crdt_gc_attempted", "crdt_gc_collected", "crdt_gc_gvc_min", "crdt_stale_released_with_merge", "crdt_peer0", "crdt_replica0",
		"crdt_alarms", "crdt_stamps_ahead", "crdt_keys_evicted",
	} {
		if values[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if !strings.Contains(values["crdt_peer0"], "name=beta,id=2,") || !strings.Contains(values["crdt_peer0"], "state=stream") {
		t.Error(values["crdt_peer0"])
	}
	if values["crdt_sync_partial_ok"] == "0" {
		t.Error("no stream was served")
	}
	eventually(t, "an engine that counted effects", func() bool {
		stats, err := a.engineStats(context.Background())
		return err == nil && stats["applied_effects"] > 0
	})
	status, err := a.Status(context.Background())
	if err != nil || len(status) < 6 {
		t.Errorf("%v %v", status, err)
	}
}

func TestConflictsAreListedNewestFirst(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET warm 1")
	synced(t, a)
	for _, r := range regions {
		if err := r.Pause(ctx, AllRegions); err != nil {
			t.Fatal(err)
		}
	}
	a.write("SET one fromA", "SET two fromA")
	b.write("SET one fromB", "SET two fromB")
	for _, r := range regions {
		if err := r.Resume(ctx, AllRegions); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, a, b)
	list, err := a.Conflicts(ctx, 10)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	c := list[0]
	if c.Key != "two" || c.Rule == "" || c.Winner.Value == c.Loser.Value || c.Winner.Origin == "" || c.At.IsZero() || c.Winner.Time.IsZero() {
		t.Errorf("%+v", c)
	}
	if one, err := a.Conflicts(ctx, 1); err != nil || len(one) != 1 {
		t.Errorf("%v %v", one, err)
	}
}
