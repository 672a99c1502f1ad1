package dashboard

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// traffic reads and writes in all regions until the test ends. What fails, because a region is paused, does not matter.
func traffic(t *testing.T, c *redistest.Cluster) {
	var clients []*redis.Client
	for _, region := range c.Regions {
		clients = append(clients, region.Proxy().Client())
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with the test
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			for k, client := range clients {
				pipe := client.Pipeline()
				for i := range 20 + n%40 {
					pipe.Set(ctx, fmt.Sprintf("%d:%d", k, i), "v", 0)
					pipe.Get(ctx, fmt.Sprintf("%d:%d", k, i))
				}
				limited, done := context.WithTimeout(ctx, time.Second)
				_, _ = pipe.Exec(limited)
				done()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// clash writes to one key in both regions at once.
func clash(c *redistest.Cluster, key string) {
	c.PauseAll()
	c.Region("A").Dial().Must("SET", key, "from <b>A</b>")
	time.Sleep(5 * time.Millisecond)
	c.Region("B").Dial().Must("SET", key, "from B")
	c.ResumeAll()
	c.Converge()
}

func TestDashboardOfTwoRegions(t *testing.T) {
	cluster := redistest.StartCluster(t, 2, redistest.WithFlags("--dashboard-conflicts=values"))
	clash(cluster, "before")
	traffic(t, cluster)
	host := cluster.Region("A").Proxy().AdminAddr
	time.Sleep(6 * time.Second) // a past to be shown
	for _, s := range []screen{laptop, phone, {name: "laptop in the dark", width: 1366, height: 768, dark: true}, {name: "phone in the dark", width: 390, height: 844, mobile: true, dark: true}} {
		t.Run(s.name, func(t *testing.T) {
			p := open(t, s, "http://"+host+"/")
			p.loaded()
			p.shows("#headline", "All regions are in step.")
			p.shows("#map", "in step")
			p.shows("#map .pill", "lag ")
			p.shows("#conflicts", "before")
			p.shows("#plot-commands", "reads")
			if points := value[int](p, "document.querySelector('#plot-commands > svg path.line').getAttribute('d').split(/[ML]/).length"); points < 5 {
				t.Errorf("a page that was just opened does not show what was before, but %d points", points)
			}
			p.inShape()

			key := "now " + s.name
			clash(cluster, key)
			p.shows("#conflicts li:first-child", key)
			if words := p.text("#conflicts li:first-child"); words == "" || value[int](p, "document.querySelectorAll('#conflicts b b').length") != 0 {
				t.Errorf("a value was read as HTML: %q", words)
			}
			p.shows("#conflicts li:first-child .sides", "B from B won over A from <b>A</b>")

			cluster.Region("A").CRDT("PAUSE", "B")
			p.shows("#map", "paused")
			p.shows("#alerts", "Effects of region B are paused")
			p.shows("#links", "paused")
			p.picture("paused")
			p.inShape()
			cluster.Region("A").CRDT("RESUME", "B")
			p.shows("#headline", "All regions are in step.")
			p.inShape()
			p.picture("in-step")
			p.clean(host)
		})
	}
}

func TestDashboardShowsWhatIsWrong(t *testing.T) {
	cluster := redistest.StartCluster(t, 3, redistest.WithFlags("--peer-silence=2s"))
	traffic(t, cluster)
	a := cluster.Region("A")
	host := a.Proxy().AdminAddr
	wide, narrow := open(t, laptop, "http://"+host+"/"), open(t, phone, "http://"+host+"/")
	both := func(selector, words string) {
		t.Helper()
		for _, p := range []*page{wide, narrow} {
			p.shows(selector, words)
			p.inShape()
		}
	}
	both("#map", "in step, they say")
	for _, p := range []*page{wide, narrow} {
		p.picture("three")
	}
	cluster.Region("C").Proxy().Pause()
	both("#map", "no link")
	both("#alerts", "No link to region C")
	both("#headline", "No link to region C")
	for _, p := range []*page{wide, narrow} {
		p.picture("no-link")
	}
	cluster.Region("C").Proxy().Continue()
	both("#headline", "All regions are in step.")

	a.Redis.Pause()
	both("#headline", "Redis does not answer")
	both("#map", "not known")
	for _, p := range []*page{wide, narrow} {
		p.picture("no-redis")
	}
	a.Redis.Continue()
	both("#headline", "All regions are in step.")

	wide.clean(host)
	narrow.clean(host)
	a.Proxy().Kill()
	both("#stale", "has not answered")
	a.Proxy().Launch()
	both("#headline", "All regions are in step.")
}

func TestDashboardOfManyRegions(t *testing.T) {
	cluster := redistest.StartCluster(t, 6)
	host := cluster.Region("A").Proxy().AdminAddr
	for _, s := range []screen{laptop, phone} {
		t.Run(s.name, func(t *testing.T) {
			p := open(t, s, "http://"+host+"/")
			p.loaded()
			p.shows("#headline", "All regions are in step.")
			for _, region := range cluster.Regions {
				p.shows("#map", region.Name)
			}
			p.inShape()
			p.picture("six")
			p.clean(host)
		})
	}
}
