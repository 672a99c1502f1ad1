package consul

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// Nobody is told where the other region is: the catalogue says it, also when the other one moves.
func TestRegionsFindEachOtherAndAreFollowed(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(), redistest.WithFlags(flags(consul)...))
	a, b := cluster.Region("A"), cluster.Region("B")
	took := arrives(t, a, b, "first")
	t.Logf("the first write arrived %v after both regions served", took)
	arrives(t, b, a, "back")

	eventually(t, "both are in the catalogue and ready", func() bool { return passing(consul, "A", 1) && passing(consul, "B", 1) })
	for name, addr := range map[string]string{"anabranch": b.Proxy().Addr, "anabranch-peer": b.Proxy().PeerAddr} {
		s := servicesOf(consul, name, "B")[0].Service
		if s.Address+":"+strconv.Itoa(s.Port) != addr || s.Meta["region-id"] != "2" || s.Meta["version"] == "" || !slices.Contains(s.Tags, "B") {
			t.Errorf("%s of B is registered as %+v", name, s)
		}
	}
	eventually(t, "the only proxy of B is its leader", func() bool {
		s := servicesOf(consul, "anabranch-peer", "B")
		return len(s) == 1 && s[0].Service.Meta["role"] == "leader" && slices.Contains(s[0].Service.Tags, "leader")
	})
	eventually(t, "the membership is in the KV store", func() bool {
		m := membersIn(consul)
		return m.Version > 0 && m.has("A", false) && m.has("B", false)
	})

	old := b.Proxy().PeerAddr
	b.Proxy().Stop()
	if left := servicesOf(consul, "anabranch", "B"); len(left) > 0 {
		t.Errorf("after SIGTERM, B is still in the catalogue: %+v", left)
	}
	b.Proxy().PeerAddr = redistest.FreeAddr(t)
	b.Proxy().AddFlags("--peer-listen", b.Proxy().PeerAddr)
	b.Proxy().Restart()
	t.Logf("B moved from %s to %s, and its first write arrived after %v", old, b.Proxy().PeerAddr, arrives(t, b, a, "moved"))
}

// The check says what /readyz says.
func TestHealthInConsulFollowsReadiness(t *testing.T) {
	consul := redistest.StartConsul(t)
	region := redistest.StartCluster(t, 1, redistest.WithFlags(flags(consul)...)).Region("A")
	eventually(t, "it is ready", func() bool { return passing(consul, "A", 1) })
	region.Redis.Kill()
	took := eventually(t, "without Redis it is not", func() bool {
		list := servicesOf(consul, "anabranch", "A")
		if len(list) != 1 {
			return false
		}
		status, output := list[0].ready()
		return status == "critical" && strings.Contains(output, "Redis is not ready")
	})
	t.Logf("critical %v after Redis was killed", took)
	region.Redis.Restart()
	t.Logf("passing again %v after Redis came back", eventually(t, "it is ready again", func() bool { return passing(consul, "A", 1) }))

	region.Proxy().Kill()
	took = eventually(t, "a dead proxy is critical", func() bool {
		list := servicesOf(consul, "anabranch", "A")
		if len(list) != 1 {
			return false
		}
		status, _ := list[0].ready()
		return status == "critical"
	})
	t.Logf("critical %v after the proxy was killed", took)
}

// Each region has a datacentre of its own. One finds the other by its name, the other one by a prepared query that falls over to it.
func TestRegionsInTwoDatacentresFindEachOther(t *testing.T) {
	dc1 := redistest.StartConsul(t)
	dc2 := redistest.StartConsul(t, redistest.InDatacentre("dc2"), redistest.FederatedWith(dc1))
	eventually(t, "dc1 knows dc2", func() bool {
		var names []string
		dc1.Get("/v1/catalog/datacenters", &names)
		return slices.Contains(names, "dc2")
	})
	example, err := os.ReadFile("../../examples/consul/prepared-query.json")
	if err != nil {
		t.Fatal(err)
	}
	query := strings.NewReplacer("!eu", "!B", `["us", "ap"]`, `["dc1"]`).Replace(string(example))
	if err := dc2.Try("POST", "/v1/query", query, nil); err != nil {
		t.Fatal(err)
	}
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(),
		redistest.WithFlagsIn("A", flags(dc1, "--consul-datacenter", "dc1", "--consul-datacenter", "dc2")...),
		redistest.WithFlagsIn("B", flags(dc2, "--consul-query", "anabranch-others", "--consul-members-datacenter", "dc1")...))
	a, b := cluster.Region("A"), cluster.Region("B")
	arrives(t, a, b, "there")
	arrives(t, b, a, "back")
	if len(servicesOf(dc1, "anabranch", "B")) > 0 || len(servicesOf(dc2, "anabranch", "A")) > 0 {
		t.Error("a region is registered in the other one's datacentre")
	}
	eventually(t, "the membership is in dc1 alone", func() bool {
		m := membersIn(dc1)
		return m.has("A", false) && m.has("B", false) && membersIn(dc2).Version == 0
	})
}

// Regions are removed and added while others do the same: nothing gets lost, and a removal counts more than the catalogue.
func TestMembershipInConsulTakesAllChanges(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 3, redistest.WithoutPeers(), redistest.WithFlags(flags(consul)...))
	a, b, c := cluster.Region("A"), cluster.Region("B"), cluster.Region("C")
	arrives(t, a, b, "k")
	arrives(t, b, c, "l")
	a.CRDT("MEMBERS", "REMOVE", "C")
	eventually(t, "the removal is in Consul", func() bool { return membersIn(consul).has("C", true) })
	eventually(t, "B has removed C", func() bool { return stateOf(b, "C") == "removed" })
	const each = 8
	done := make(chan struct{})
	go func() { // ends after its commands
		defer close(done)
		for i := range each {
			b.CRDT("MEMBERS", "ADD", "fromB"+strconv.Itoa(i), "127.0.0.1:1")
		}
	}()
	for i := range each {
		a.CRDT("MEMBERS", "ADD", "fromA"+strconv.Itoa(i), "127.0.0.1:1")
	}
	<-done
	eventually(t, "all changes are in Consul", func() bool {
		m := membersIn(consul)
		for i := range each {
			if !m.has("fromA"+strconv.Itoa(i), false) || !m.has("fromB"+strconv.Itoa(i), false) {
				return false
			}
		}
		return m.has("C", true)
	})
}

// stateOf is what a region says of another one's membership.
func stateOf(region *redistest.Region, name string) string {
	for _, row := range region.CRDT("MEMBERS").Items {
		fields := row.Strings()
		if at := slices.Index(fields, "state"); slices.Contains(fields, name) && at >= 0 {
			return fields[at+1]
		}
	}
	return ""
}
