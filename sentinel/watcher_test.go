package sentinel_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"anabranch/internal/redistest"
	"anabranch/sentinel"
)

func TestMain(m *testing.M) { redistest.NoLeaks(m) }

func configFor(t testing.TB, url string) sentinel.Config {
	t.Helper()
	u, err := sentinel.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sentinel.DefaultConfig()
	cfg.Use(u)
	cfg.PollInterval, cfg.Timeout, cfg.AnswerLife = 200*time.Millisecond, time.Second, 2*time.Second
	if os.Getenv("SENTINEL_TEST_LOG") != "" {
		cfg.Log = zerolog.New(os.Stderr).With().Timestamp().Logger()
	}
	return cfg
}

// watch runs a Watcher until the test ends.
func watch(t testing.TB, cfg sentinel.Config) *sentinel.Watcher {
	t.Helper()
	w, err := sentinel.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

func names(w *sentinel.Watcher, addr string) func() bool {
	return func() bool {
		p, err := w.Primary()
		return err == nil && p.Addr == addr
	}
}

func confirmed(w *sentinel.Watcher) func() bool { return func() bool { return w.Trouble() == nil } }

func TestAWatcherFollowsFailOvers(t *testing.T) {
	g := redistest.StartGuarded(t, redistest.Guard{})
	// One address is enough: the others are found.
	cfg := configFor(t, "redis-sentinel://"+g.Sentinels[0].Addr+"/"+redistest.PrimaryName)
	w := watch(t, cfg)
	first := g.Servers[0]
	eventually(t, "the primary is known", names(w, first.Addr))
	<-w.Changed()
	eventually(t, "the other Sentinels are found", func() bool { return len(w.Sentinels()) == 3 })
	if p, _ := w.Primary(); len(p.Replicas) != 2 || time.Since(p.Confirmed) > cfg.AnswerLife {
		t.Errorf("%+v", p)
	}

	// A planned one, and one after a death.
	if _, err := g.Ask(g.Sentinels[0], "SENTINEL", "FAILOVER", redistest.PrimaryName); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the primary has moved", func() bool { p, _ := w.Primary(); return p.Addr != first.Addr })
	second, _ := w.Primary()
	eventually(t, "the Sentinels agree", func() bool { return g.Primary().Addr == second.Addr })
	g.AwaitGuarded()
	g.Primary().Kill()
	eventually(t, "the primary has moved again", func() bool { p, _ := w.Primary(); return p.Addr != second.Addr })

	// Sentinels that end one after the other: two of three are a majority, one is not. What was known stays, and grows old.
	g.Sentinels[0].Kill()
	time.Sleep(2 * cfg.AnswerLife)
	if err := w.Trouble(); err != nil {
		t.Errorf("two of three: %v", err)
	}
	third, _ := w.Primary()
	g.Sentinels[1].Kill()
	eventually(t, "the majority is lost", func() bool {
		err := w.Trouble()
		return err != nil && strings.Contains(err.Error(), "1 of 3 Sentinels answer")
	})
	if p, err := w.Primary(); err != nil || p.Addr != third.Addr || time.Since(p.Confirmed) < cfg.AnswerLife/2 {
		t.Errorf("%+v, %v", p, err)
	}
	g.Sentinels[0].Start()
	eventually(t, "the majority is back", confirmed(w))
}

func TestFindNeedsAMajority(t *testing.T) {
	g := redistest.StartGuarded(t, redistest.Guard{Replicas: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if addr, err := sentinel.Find(ctx, configFor(t, g.URL())); err != nil || addr != g.Servers[0].Addr {
		t.Errorf("%q, %v", addr, err)
	}
	g.Sentinels[0].Kill()
	g.Sentinels[1].Pause()
	defer g.Sentinels[1].Continue()
	short, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if addr, err := sentinel.Find(short, configFor(t, g.URL())); err == nil || !strings.Contains(err.Error(), "1 of 3 Sentinels answer") {
		t.Errorf("%q, %v", addr, err)
	}
}

// Sentinels have users of their own, apart from those of Redis.
func TestLoginToSentinels(t *testing.T) {
	g := redistest.StartGuarded(t, redistest.Guard{
		Replicas: 1, Login: "app:secret@", Params: "sentinel-user=watcher&sentinel-password=quiet",
		Redis: []redistest.Option{redistest.WithConfig("user app on >secret ~* &* +@all", "masteruser app", "masterauth secret")},
		Config: []string{
			"sentinel auth-user main app", "sentinel auth-pass main secret",
			"user watcher on >quiet ~* &* +@all", "sentinel sentinel-user watcher", "sentinel sentinel-pass quiet",
			"user default off",
		},
	})
	w := watch(t, configFor(t, g.URL()))
	eventually(t, "the primary is known", names(w, g.Servers[0].Addr))

	wrong := configFor(t, g.URL())
	wrong.Password = "wrong"
	nobody := watch(t, wrong)
	eventually(t, "the reason is told", func() bool {
		err := nobody.Trouble()
		return err != nil && strings.Contains(err.Error(), "WRONGPASS")
	})
	unknown := configFor(t, g.URL())
	unknown.Name = "other"
	lost := watch(t, unknown)
	eventually(t, "the reason is told", func() bool {
		err := lost.Trouble()
		return err != nil && strings.Contains(err.Error(), "does not know a primary of this name")
	})
	if p, err := lost.Primary(); err == nil {
		t.Errorf("%+v", p)
	}
}

// A Sentinel that all others were told to forget is asked no more, and does not count.
func TestAForgottenSentinelIsDropped(t *testing.T) {
	g := redistest.StartGuarded(t, redistest.Guard{Replicas: 1})
	cfg := configFor(t, "redis-sentinel://"+g.Sentinels[0].Addr+"/"+redistest.PrimaryName)
	w := watch(t, cfg)
	eventually(t, "all Sentinels are found", func() bool { return len(w.Sentinels()) == 3 })
	g.Sentinels[2].Kill()
	time.Sleep(cfg.AnswerLife)
	for _, s := range g.Sentinels[:2] {
		if _, err := g.Ask(s, "SENTINEL", "RESET", redistest.PrimaryName); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it is asked no more", func() bool { return len(w.Sentinels()) == 2 && w.Trouble() == nil })
}
