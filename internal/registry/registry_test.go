package registry

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// What needs a Consul is tested with real ones, in tests/consul.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnIndexThatGoesBackOrIsZeroStartsAnew(t *testing.T) {
	for _, test := range []struct{ index, last, want uint64 }{
		{0, 7, 7}, {7, 9, 9}, {9, 9, 9}, {9, 3, 0}, {0, 0, 1}, {1, 0, 0},
	} {
		if got := nextIndex(test.index, test.last); got != test.want {
			t.Errorf("after %d, an answer of %d leads to %d, want %d", test.index, test.last, got, test.want)
		}
	}
}

// While Consul does not answer, it is asked again with pauses that grow, and the log says so once.
func TestFollowingRestsWhenConsulFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		said := newSaid(zerolog.New(&log))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		asked := 0
		var indexes []uint64
		follow(ctx, said, "things", func(asking context.Context, options *api.QueryOptions) (*api.QueryMeta, error) {
			asked++
			if asked <= 20 {
				return nil, errors.New("connection refused")
			}
			indexes = append(indexes, options.WaitIndex)
			switch len(indexes) {
			case 1:
				return &api.QueryMeta{LastIndex: 40}, nil
			case 2:
				return &api.QueryMeta{LastIndex: 5}, nil // Consul was set up anew
			case 3:
				return &api.QueryMeta{LastIndex: 5}, nil
			}
			<-asking.Done() // an agent that hangs
			return nil, asking.Err()
		})
		if asked < 24 || asked > 45 {
			t.Errorf("asked %d times in ten minutes", asked)
		}
		if !slices.Equal(indexes[:4], []uint64{0, 40, 0, 5}) {
			t.Errorf("waited for %v", indexes)
		}
		if n := strings.Count(log.String(), "connection refused"); n != 1 {
			t.Errorf("said %d times: %s", n, log.String())
		}
	})
}

func TestNewsIsWhatTheOtherSideLacksOrHasOlder(t *testing.T) {
	const theirs = `[{"name":"a","at":5,"unknown":1},{"name":"b","at":7}]`
	for ours, want := range map[string]bool{
		``: false, `null`: false, `[]`: false, `[{"name":"a","at":5}]`: false, `[{"name":"a","at":4}]`: false,
		`[{"name":"a","at":6}]`: true, `[{"name":"c","at":1}]`: true,
	} {
		if got, err := hasNews([]byte(ours), []byte(theirs)); err != nil || got != want {
			t.Errorf("%s: %v, %v", ours, got, err)
		}
	}
	if _, err := hasNews(nil, []byte("{}")); !errors.Is(err, errDocument) {
		t.Errorf("what is no membership: %v", err)
	}
}

func TestOnlyServicesOfOursAreProxies(t *testing.T) {
	entry := func(address, region, status string) *api.ServiceEntry {
		return &api.ServiceEntry{
			Node:    &api.Node{Address: "10.0.0.1"},
			Service: &api.AgentService{Address: address, Port: 6380, Meta: map[string]string{metaRegion: region, metaAdmin: "6580", metaAgent: "x"}},
			Checks:  api.HealthChecks{{Status: status}},
		}
	}
	got := proxiesOf([]*api.ServiceEntry{
		entry("10.0.0.3", "eu", api.HealthPassing), entry("", "eu", api.HealthCritical), entry("fd00::1", "ap", api.HealthPassing),
		{Node: &api.Node{}, Service: &api.AgentService{}}, {},
	})
	want := []Proxy{
		{Region: "ap", Addr: "[fd00::1]:6380", AdminPort: 6580, Passing: true},
		{Region: "eu", Addr: "10.0.0.1:6380", AdminPort: 6580},
		{Region: "eu", Addr: "10.0.0.3:6380", AdminPort: 6580, Passing: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	regions := passingByRegion(got)
	if len(regions) != 2 || !slices.Equal(regions["eu"], []string{"10.0.0.3:6380"}) {
		t.Errorf("by region: %v", regions)
	}
}

func TestAddressesAndNamesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1": "http://127.0.0.1:8500", "https://consul.example/": "https://consul.example:8501", "http://[::1]:18500": "http://[::1]:18500",
		"": "", "127.0.0.1:8500": "", "ftp://h:1": "", "http://h:1/path": "", "http://h:x": "", "http://user:secret@h:1": "",
	} {
		if got, err := ParseAddress(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]bool{"anabranch": true, "redis-eu1": true, "": false, "-x": false, "a b": false, "a/b": false, strings.Repeat("x", 43): false} {
		if _, err := ParseService(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
