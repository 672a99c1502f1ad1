package consul

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

func TestMain(m *testing.M) { redistest.NoLeaks(m) }

// limit is how long something that happens by itself may take.
const limit = 60 * time.Second

// eventually waits, and answers how long.
func eventually(t *testing.T, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// service is one instance in the catalogue, with its check.
type service struct {
	Service struct {
		ID      string
		Address string
		Port    int
		Tags    []string
		Meta    map[string]string
	}
	Checks []struct {
		CheckID string
		Status  string
		Output  string
	}
}

// ready is what our own check says.
func (s service) ready() (status, output string) {
	for _, check := range s.Checks {
		if strings.HasPrefix(check.CheckID, "ready:") {
			return check.Status, check.Output
		}
	}
	return "", ""
}

// servicesOf lists the instances of a service, those of a region if one is given.
func servicesOf(consul *redistest.Consul, name, region string) []service {
	var list []service
	if consul.Try(http.MethodGet, "/v1/health/service/"+name, "", &list) != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(s service) bool { return region != "" && s.Service.Meta["region"] != region })
}

// passing says whether a region has n proxies in the catalogue, for clients and for peers, all of them ready.
func passing(consul *redistest.Consul, region string, n int) bool {
	for _, name := range []string{"anabranch", "anabranch-peer"} {
		list := servicesOf(consul, name, region)
		if len(list) != n {
			return false
		}
		for _, s := range list {
			if status, _ := s.ready(); status != "passing" {
				return false
			}
		}
	}
	return true
}

// members is the membership in the KV store.
type members struct {
	Version int
	Regions []struct {
		Name    string
		Removed bool
	}
}

func (m members) has(name string, removed bool) bool {
	for _, region := range m.Regions {
		if region.Name == name && region.Removed == removed {
			return true
		}
	}
	return false
}

func membersIn(consul *redistest.Consul) (m members) {
	_ = consul.Try(http.MethodGet, "/v1/kv/anabranch/members?raw", "", &m) // not there yet: none
	return m
}

// lockHolder is the run id of the proxy that holds a region's lock, or "".
func lockHolder(consul *redistest.Consul, region string) string {
	var pairs []struct {
		Session string
		Value   []byte
	}
	if consul.Try(http.MethodGet, "/v1/kv/anabranch/leader/"+region, "", &pairs) != nil || len(pairs) == 0 || pairs[0].Session == "" {
		return ""
	}
	var holder struct {
		RunID string `json:"run-id"`
	}
	_ = json.Unmarshal(pairs[0].Value, &holder) // an empty one is nobody
	return holder.RunID
}

// leaderOf is the number of the proxy that leads a region, or -1.
func leaderOf(region *redistest.Region) int {
	for i, proxy := range region.Proxies {
		if !proxy.Running() {
			continue
		}
		conn := proxy.Dial()
		reply := conn.Do("CRDT", "STATUS")
		conn.Close()
		fields := reply.Strings()
		for k := 0; k+1 < len(fields); k += 2 {
			if fields[k] == "this_proxy_leads" && fields[k+1] == "true" {
				return i
			}
		}
	}
	return -1
}

// flags are what makes Consul's part quick.
func flags(consul *redistest.Consul, more ...string) []string {
	return append([]string{"--consul", consul.URL, "--consul-ttl", "2s"}, more...)
}

// arrives says that a write in one region reaches another one.
func arrives(t *testing.T, from, to *redistest.Region, key string) time.Duration {
	t.Helper()
	writer := from.Proxies[slices.IndexFunc(from.Proxies, (*redistest.Proxy).Running)].Dial()
	defer writer.Close()
	reader := to.Proxies[slices.IndexFunc(to.Proxies, (*redistest.Proxy).Running)].Dial()
	defer reader.Close()
	writer.Must("SET", key, from.Name)
	return eventually(t, key+" of region "+from.Name+" arrives in "+to.Name, func() bool {
		return reader.Do("GET", key).Text == from.Name
	})
}

// encode is a request's body.
func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // plain maps of strings
	}
	return string(text)
}
