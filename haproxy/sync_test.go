package haproxy

import (
	"slices"
	"strings"
	"testing"
)

// What HAProxy 2.6 answers; other versions have more columns, and in another order.
const (
	someStates = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 redis 1 eu-1 10.1.0.5 2 0 100 100 1 8 2 0 6 22 0 0 - 6380 - 0 6580 - - 6780
3 redis 2 eu-2 10.1.0.6 2 8 100 100 1 8 2 0 6 18 0 0 - 6380 - 0 6580 - - 6780
3 redis 3 eu-3 127.0.0.1 0 5 100 100 1 1 0 0 14 22 0 0 - 1 - 0 1 - - 1
3 redis 4 us-west-1 10.2.0.5 0 1 100 100 1 1 0 0 14 22 0 0 - 6380 - 0 6580 - - 1
3 redis 5 other 10.9.9.9 2 0 100 100 1 1 0 0 14 22 0 0 - 6380 - 0 6580 - - 1
`
	someTraffic = `# pxname,svname,qcur,qmax,scur,smax
redis,eu-1,0,0,12,20
redis,eu-2,0,0,3,20
`
)

func TestSlotsAreReadFromHAProxysTables(t *testing.T) {
	got, err := parseSlots(someStates, someTraffic)
	want := []slot{
		{name: "eu-1", region: "eu", host: "10.1.0.5", port: 6380, admin: 6580, agent: 6780, up: true, agentOn: true, sessions: 12},
		{name: "eu-2", region: "eu", host: "10.1.0.6", port: 6380, admin: 6580, agent: 6780, up: true, drain: true, sessions: 3},
		{name: "eu-3", region: "eu", host: "127.0.0.1", port: 1, admin: 1, agent: 1, maint: true, agentOn: true},
		{name: "us-west-1", region: "us-west", host: "10.2.0.5", port: 6380, admin: 6580, agent: 1, maint: true, agentOn: true},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "2\n# x\n", "Can't find backend."} {
		if _, err := parseSlots(text, ""); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzSlots(f *testing.F) {
	f.Add(someStates, someTraffic)
	f.Add("1\n# a b\n1\n1 2 3", "# x\n,,,")
	f.Fuzz(func(_ *testing.T, states, traffic string) { _, _ = parseSlots(states, traffic) })
}

// Each case says what is in HAProxy, what is wanted, and what is done.
func TestThePlanLeavesAloneWhatWorks(t *testing.T) {
	proxy := func(region, host string) Proxy {
		return Proxy{Server: Server{Region: region, Host: host, Port: 6380, AdminPort: 6580}, Ready: true}
	}
	serving := func(name, host string, sessions int) slot {
		region, _ := regionOfSlot(name)
		return slot{name: name, region: region, host: host, port: 6380, admin: 6580, agent: 1, up: true, agentOn: true, sessions: sessions}
	}
	drained := func(s slot) slot { s.drain, s.agentOn = true, false; return s }
	empty := func(name string) slot {
		s := serving(name, freeHost, 0)
		s.port, s.maint, s.up = freePort, true, false
		return s
	}
	down := func(s slot) slot { s.up = false; return s }
	maint := func(s slot) slot { s.maint, s.up = true, false; return s }
	for _, test := range []struct {
		name     string
		slots    []slot
		wanted   []Proxy
		want     string // slot: what
		unplaced int
	}{
		{"all is well", []slot{serving("eu-1", "10.0.0.1", 5), empty("eu-2")}, []Proxy{proxy("eu", "10.0.0.1")}, "", 0},
		{"one comes", []slot{serving("eu-1", "10.0.0.1", 5), empty("eu-2")}, []Proxy{proxy("eu", "10.0.0.1"), proxy("eu", "10.0.0.2")}, "eu-2: a proxy has come", 0},
		{"no room", []slot{serving("eu-1", "10.0.0.1", 5)}, []Proxy{proxy("eu", "10.0.0.1"), proxy("eu", "10.0.0.2")}, "", 1},
		{"a region that HAProxy does not know", []slot{serving("eu-1", "10.0.0.1", 5)}, []Proxy{proxy("eu", "10.0.0.1"), proxy("us", "10.0.0.2")}, "", 1},
		{"one goes", []slot{serving("eu-1", "10.0.0.1", 5), serving("eu-2", "10.0.0.2", 3)}, []Proxy{proxy("eu", "10.0.0.1")}, "eu-2: a proxy is gone: no new clients", 0},
		{"it has clients yet", []slot{serving("eu-1", "10.0.0.1", 5), drained(serving("eu-2", "10.0.0.2", 3))}, []Proxy{proxy("eu", "10.0.0.1")}, "", 0},
		{"and now none", []slot{serving("eu-1", "10.0.0.1", 5), drained(serving("eu-2", "10.0.0.2", 0))}, []Proxy{proxy("eu", "10.0.0.1")}, "eu-2: a proxy is gone: its slot is free", 0},
		{"or it is dead", []slot{serving("eu-1", "10.0.0.1", 5), down(serving("eu-2", "10.0.0.2", 3))}, []Proxy{proxy("eu", "10.0.0.1")}, "eu-2: a proxy is gone: its slot is free", 0},
		{"it comes back", []slot{drained(serving("eu-1", "10.0.0.1", 5))}, []Proxy{proxy("eu", "10.0.0.1")}, "eu-1: it is back", 0},
		{"the catalogue is empty", []slot{serving("eu-1", "10.0.0.1", 5), serving("us-1", "10.0.1.1", 5)}, nil, "", 0},
		{"a region is missing", []slot{serving("eu-1", "10.0.0.1", 5), serving("us-1", "10.0.1.1", 5)}, []Proxy{proxy("eu", "10.0.0.1")}, "", 0},
		{"an operator's maintenance", []slot{maint(serving("eu-1", "10.0.0.1", 0)), maint(serving("eu-2", "10.0.0.2", 0))}, []Proxy{proxy("eu", "10.0.0.1")}, "", 0},
	} {
		steps, unplaced := plan(test.slots, test.wanted)
		var got []string
		for _, step := range steps {
			got = append(got, step.slot+": "+step.what)
			for _, command := range step.commands {
				if !strings.Contains(command, " redis/"+step.slot) || strings.ContainsAny(command, "\n;") {
					t.Errorf("%s: %q is no command for %s", test.name, command, step.slot)
				}
			}
		}
		if strings.Join(got, ", ") != test.want || len(unplaced) != test.unplaced {
			t.Errorf("%s: %q, %d without a place; want %q, %d", test.name, got, len(unplaced), test.want, test.unplaced)
		}
	}
	placed := place(empty("eu-2"), Proxy{Server: Server{Region: "eu", Host: "10.0.0.2", Port: 6380, AdminPort: 6580}})
	if at := slices.Index(placed.commands, "set server redis/eu-2 health down"); at < 0 || placed.commands[at+1] != "set server redis/eu-2 state ready" {
		t.Errorf("a proxy that nobody has seen work gets clients at once: %q", placed.commands)
	}
}
