package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
	"anabranch/internal/resp"
)

// service is a user for the proxy alone, so that clients may change all others.
const (
	serviceRule  = "user service on >pw ~* &* +@all"
	serviceLogin = "service:pw@"
)

// startBeside runs a proxy with a user of its own, and a Redis with the same users for comparison.
func startBeside(t testing.TB, change func(*Config), opts ...redistest.Option) (*rig, *redistest.Server) {
	t.Helper()
	opts = append(opts, redistest.WithConfig(serviceRule))
	r := startAs(t, redistest.Start(t, opts...), serviceLogin, change)
	eventually(t, "the users are known", func() bool { return r.server.users.now() != nil })
	return r, redistest.Start(t, opts...)
}

// passing is what differs from one server to another.
var passing = regexp.MustCompile(`(\r\nid\r\n:|age-seconds\r\n)(\$\d+\r\n|,)?\d+(\.\d+)?|\$\d+\r\nid=\d+[^\r]*`)

func hidePassing(reply string) string { return passing.ReplaceAllString(reply, "$1") }

// wires are the connections of a script to one server, made when they are first used.
type wires struct {
	t      testing.TB
	addr   string
	byName map[string]*wire
}

func (s *wires) named(name string) *wire {
	if s.byName[name] == nil {
		s.byName[name] = dial(s.t, s.addr)
	}
	return s.byName[name]
}

// play sends a line of a script and returns what comes back.
func (s *wires) play(name, line string, replies int) string {
	w := s.named(name)
	if line == "closed" {
		return w.rest()
	}
	if line != "" {
		w.send(line + "\r\n")
	}
	out := ""
	for range replies {
		out += w.reply()
	}
	return out
}

// Every step of the script has the same reply on Redis and through the proxy.
func TestAccessIsAsOnRedis(t *testing.T) {
	r, plain := startBeside(t, nil)
	script, err := os.ReadFile("testdata/access.txt")
	if err != nil {
		t.Fatal(err)
	}
	direct, through := &wires{t, plain.Addr, map[string]*wire{}}, &wires{t, r.addr, map[string]*wire{}}
	for i, line := range strings.Split(string(script), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		name, command, _ := strings.Cut(line, " ")
		replies := 1
		if count, rest, found := strings.Cut(command, " "); found {
			if n, err := strconv.Atoi(count); err == nil {
				replies, command = n, rest
			}
		}
		want, got := hidePassing(direct.play(name, command, replies)), hidePassing(through.play(name, command, replies))
		if got != want {
			t.Errorf("line %d: %s: got\n%q, redis\n%q", i+1, line, got, want)
		}
	}
}

// Random users do random things: the same is allowed, and the same happens.
func TestRandomAccessIsAsOnRedis(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	key := func() string { return pick("a", "b", "ab", "ba", "c:1", "c:2") }
	rule := func() string {
		return pick("+@all", "-@all", "+@read", "+@write", "-@string", "+@pubsub", "+get", "-get", "+set", "+mget", "+client|id", "-client",
			"+@connection", "~*", "~a*", "~c:*", "%R~b*", "%W~a", "%RW~?", "resetkeys", "&*", "&a*", "&b", "resetchannels", "nopass", ">pw", "off", "on",
			"("+pick("+@all", "+get", "+@write")+" "+pick("~a*", "%R~*", "~c:*")+")", "clearselectors", "reset")
	}
	command := func() string {
		return pick("GET "+key(), "SET "+key()+" v", "MGET "+key()+" "+key(), "DEL "+key(), "COPY "+key()+" "+key()+" REPLACE", "SADD s"+key()+" 1 2",
			"SMEMBERS s"+key(), "SINTERCARD 2 s"+key()+" s"+key(), "ZADD z"+key()+" 1 m", "ZUNIONSTORE z"+key()+" 1 z"+key(), "PUBLISH "+key()+" m",
			"SPUBLISH "+key()+" m", "CLIENT GETNAME", "ACL WHOAMI", "PING", "SORT s"+key()+" BY w* ", "SORT s"+key(), "EXISTS "+key()+" "+key(),
			"AUTH u pw", "AUTH u wrong", "RENAME "+key()+" "+key(), "SELECT 0", "ECHO x", "SET "+key()+" v GET", "TYPE "+key(), "DBSIZE")
	}
	r, plain := startBeside(t, nil)
	direct, through := &wires{t, plain.Addr, map[string]*wire{}}, &wires{t, r.addr, map[string]*wire{}}
	outcomes := map[string]int{}
	both := func(name, line string) {
		want, got := direct.play(name, line, 1), through.play(name, line, 1)
		outcomes[want[:min(len(want), 34)]]++
		if want != got {
			t.Errorf("%s: %s: got %q, redis %q (seed %d)", name, line, got, want, seed)
		}
	}
	for range 60 {
		both("admin", "ACL SETUSER u on "+rule())
		both("user", "AUTH default x")
		both("user", "AUTH u pw")
		for range 5 {
			both("admin", "ACL SETUSER u "+rule()+" "+rule())
			for range 12 {
				both("user", command())
			}
		}
	}
	for _, outcome := range []string{"+OK\r\n", "-NOPERM this user has no permissions"[:34], "-WRONGPASS invalid username-password"[:34]} {
		if outcomes[outcome] == 0 {
			t.Errorf("never came to %q: %v", outcome, outcomes)
		}
	}
}

// A proxy that shares the default user with its clients does not let them lock it out.
func TestTheServiceUserCannotBeTakenAway(t *testing.T) {
	refusal := "-ERR Anabranch itself logs in as user '%s', and this change would lock it out: give it a user of its own with --redis first\r\n"
	r := start(t, nil)
	w := r.dial()
	for _, line := range []string{
		"ACL SETUSER default off", "ACL SETUSER default >pw", "ACL SETUSER default resetpass", "ACL SETUSER default -@all", "ACL SETUSER default -debug",
		"ACL SETUSER default resetkeys", "ACL SETUSER default resetkeys ~a", "ACL SETUSER default resetchannels", "ACL SETUSER default reset",
	} {
		w.want(line, fmt.Sprintf(refusal, "default"))
	}
	w.want("CONFIG SET requirepass x", "-ERR CONFIG SET failed (possibly related to argument 'requirepass') - "+
		strings.TrimPrefix(fmt.Sprintf(refusal, "default"), "-ERR "))
	for _, line := range []string{"ACL SETUSER default on nopass ~* +@all &*", `CONFIG SET requirepass ""`, "ACL SETUSER default reset on nopass ~* &* +@all"} {
		w.want(line, "+OK\r\n")
	}
	r.backend.Reconnect()
	eventually(t, "it serves again", func() bool { return w.do("SET k 1") == "+OK\r\n" })

	own, _ := startBeside(t, nil)
	w = own.dial()
	for _, line := range []string{
		"ACL DELUSER service", "ACL DELUSER nobody service", "ACL SETUSER service off", "ACL SETUSER service <pw", "ACL SETUSER service resetpass >other",
		"ACL SETUSER service -get", "ACL SETUSER service -@all +@all resetkeys %R~*",
	} {
		w.want(line, fmt.Sprintf(refusal, "service"))
	}
	w.want("ACL SETUSER service what", "-ERR Error in ACL SETUSER modifier 'what': Syntax error\r\n")
	w.want("ACL SETUSER service >second (~a +get)", "+OK\r\n")
	w.want("ACL SETUSER service -@all +@all nopass", "+OK\r\n")
	w.want("ACL SETUSER root on nopass ~* &* +@all", "+OK\r\n")
	w.want("ACL SETUSER default off", "+OK\r\n")
	w.want("AUTH root x", "+OK\r\n")
	own.backend.Reconnect()
	eventually(t, "it serves again", func() bool { return w.do("SET k 1") == "+OK\r\n" })
}

// The default user may have a password on the server. It may lose it as well, and the proxy still gets in.
func TestThePasswordIsTheServers(t *testing.T) {
	redis := redistest.Start(t)
	dial(t, redis.Addr).want("CONFIG SET requirepass pw", "+OK\r\n")
	r := startAs(t, redis, ":pw@", nil)
	w := r.dial()
	eventually(t, "one can log in", func() bool { return w.do("AUTH pw") == "+OK\r\n" })
	r.dial().want("GET k", "-NOAUTH Authentication required.\r\n")
	w.want("CONFIG SET requirepass pw", "+OK\r\n")
	w.want("ACL SETUSER default >second", "+OK\r\n")
	r.dial().want("AUTH second", "+OK\r\n")
	if got := w.do("CONFIG SET requirepass other"); !strings.HasPrefix(got, "-ERR CONFIG SET failed") {
		t.Errorf("got %q", got)
	}
	w.want(`CONFIG SET requirepass ""`, "+OK\r\n")
	r.backend.Reconnect()
	w = r.dial()
	eventually(t, "it serves again", func() bool { return w.do("SET k 1") == "+OK\r\n" })
}

// What is changed past the proxy counts soon.
func TestChangesOnTheServerAreSeen(t *testing.T) {
	r, _ := startBeside(t, func(c *Config) { c.UsersInterval = 20 * time.Millisecond })
	server := dial(t, r.redis.Addr)
	server.want("ACL SETUSER u on >pw +get +subscribe +ping ~* &*", "+OK\r\n")
	w, idle, subscriber := r.dial(), r.dial(), r.dial()
	eventually(t, "u can log in", func() bool { return w.do("AUTH u pw") == "+OK\r\n" })
	idle.want("AUTH u pw", "+OK\r\n")
	w.want("SET k 1", "-NOPERM this user has no permissions to run the 'set' command\r\n")
	server.want("ACL SETUSER u +set", "+OK\r\n")
	eventually(t, "u may set", func() bool { return w.do("SET k 1") == "+OK\r\n" })

	subscriber.do("AUTH u pw", "SUBSCRIBE c")
	server.want("ACL SETUSER u resetchannels &d", "+OK\r\n")
	subscriber.rest()
	w.want("GET k", "$1\r\n1\r\n")

	server.want("CONFIG SET acllog-max-len 1", "+OK\r\n")
	eventually(t, "the log is short", func() bool {
		w.do("DEL k", "INCR k")
		return strings.HasPrefix(r.dial().do("ACL LOG"), "*1\r\n")
	})
	server.want("ACL DELUSER u", ":1\r\n")
	idle.rest()
	w.rest()
	w = r.dial()
	w.want("AUTH u pw", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
}

// The users are those of the file again, and all who are not the default user are gone, as on Redis.
func TestUsersAreLoadedFromTheFile(t *testing.T) {
	file := t.TempDir() + "/users.acl"
	users := serviceRule + "\nuser default on nopass ~* &* +@all\nuser alice on >alice ~a* +@all\n"
	if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startAs(t, redistest.Start(t, redistest.WithConfig("aclfile "+file)), serviceLogin, nil)
	admin, alice := r.dial(), r.dial()
	eventually(t, "alice can log in", func() bool { return alice.do("AUTH alice alice") == "+OK\r\n" })
	admin.want("ACL SETUSER bob on >bob +ping", "+OK\r\n")
	bob := r.dial()
	bob.want("AUTH bob bob", "+OK\r\n")
	admin.want("ACL LOAD", "+OK\r\n")
	alice.rest()
	bob.rest()
	admin.want("ACL USERS", "*3\r\n$5\r\nalice\r\n$7\r\ndefault\r\n$7\r\nservice\r\n")
	bob = r.dial()
	bob.want("AUTH bob bob", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	alice = r.dial()
	alice.want("AUTH alice alice", "+OK\r\n")
	alice.want("SET a 1", "+OK\r\n")
	alice.want("ACL SETUSER bob on >bob +ping", "+OK\r\n")
	alice.want("ACL SAVE", "+OK\r\n")
	alice.want("ACL LOAD", "+OK\r\n")
	alice.rest()
	bob.want("AUTH bob bob", "+OK\r\n")
}

// A password of the proxy's own takes the place of the default user's. Other users are the server's.
func TestOwnPasswordAndOtherUsers(t *testing.T) {
	r, _ := startBeside(t, func(c *Config) { c.Password = "secret" })
	w := r.dial()
	w.want("PING", "-NOAUTH Authentication required.\r\n")
	w.want("AUTH secret", "+OK\r\n")
	w.want("ACL SETUSER alice on >alice +@all ~a", "+OK\r\n")
	w.want("CONFIG SET requirepass other", "+OK\r\n")
	w.want("AUTH other", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	w.want("AUTH alice alice", "+OK\r\n")
	w.want("SET b 1", "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n")
	w.want("RESET", "+RESET\r\n")
	w.want("PING", "-NOAUTH Authentication required.\r\n")
	w.want("AUTH secret", "+OK\r\n")
	w.want("ACL SETUSER default -get", "+OK\r\n")
	w.want("GET k", "-NOPERM this user has no permissions to run the 'get' command\r\n")
}

// Where the proxy may not ask for the users, there is the default one alone.
func TestUsersThatTheServerDoesNotTell(t *testing.T) {
	redis := redistest.Start(t, redistest.WithConfig("user service on >pw ~* &* +@all -acl"))
	r := startAs(t, redis, serviceLogin, func(c *Config) { c.Password, c.UsersInterval = "secret", 20*time.Millisecond })
	w := r.dial()
	eventually(t, "one can log in", func() bool { return w.do("AUTH secret") == "+OK\r\n" })
	w.want("SET k 1", "+OK\r\n")
	w.want("ACL WHOAMI", "$7\r\ndefault\r\n")
	w.want("AUTH alice x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	w.want("ACL SETUSER alice on", "-NOPERM this user has no permissions to run the 'acl|setuser' command\r\n")
	w.want("CONFIG SET acllog-max-len 5", "+OK\r\n")
	dial(t, redis.Addr).want("ACL SETUSER service +acl", "+OK\r\n")
	dial(t, redis.Addr).want("ACL SETUSER alice on nopass +ping", "+OK\r\n")
	eventually(t, "alice is known", func() bool { return w.do("AUTH alice x") == "+OK\r\n" })
}

// Rules hold in the middle of a pipeline, and across databases, protocols and answers that are not wanted.
func TestRulesInPipelines(t *testing.T) {
	r, plain := startBeside(t, nil)
	lines := []string{
		"ACL SETUSER u on >pw +@all ~u* &*", "SET other 1", "AUTH u pw", "GET other", "SET u1 1", "GET u1", "GET other", "PING", "SELECT 1", "GET other",
		"SET u1 2", "HELLO 3", "GET other", "CLIENT REPLY SKIP", "GET other", "GET u1", "CLIENT REPLY SKIP", "GET u1", "GET other", "ACL SETUSER u -get",
		"GET u1", "AUTH default x", "GET other", "GET u1", "SELECT 0", "GET other", "AUTH u pw", "GET u1", "ACL SETUSER u reset",
		"PING", "AUTH default x", "PING",
	}
	var stream []byte
	replies := 0
	for _, line := range lines {
		stream = append(stream, line+"\r\n"...)
		replies++
	}
	replies -= 4 // the two SKIPs and what follows them
	var got [2]string
	for i, addr := range []string{plain.Addr, r.addr} {
		w := dial(t, addr)
		w.send(string(stream))
		for range replies {
			got[i] += hidePassing(w.reply())
		}
	}
	if got[0] != got[1] {
		t.Errorf("got\n%q, redis\n%q", got[1], got[0])
	}
}

func TestClientsAreListedWithTheirUsers(t *testing.T) {
	r, _ := startBeside(t, nil)
	w, other := r.dial(), r.dial()
	w.do("ACL SETUSER u on nopass +@all ~a &*", "AUTH u x")
	other.do("PING")
	if got := w.do("CLIENT INFO"); !strings.Contains(got, " user=u ") {
		t.Errorf("CLIENT INFO: %q", got)
	}
	if got := other.do("CLIENT LIST"); strings.Count(got, " user=u ") != 1 || strings.Count(got, " user=default ") != 1 {
		t.Errorf("CLIENT LIST: %q", got)
	}
	key := strings.Repeat("k", 1<<20)
	w.send(string(resp.AppendCommandStrings(nil, "GET", key)))
	w.reply()
	got := other.do("ACL LOG 1")
	if !strings.Contains(got, " user=u ") || !strings.Contains(got, "\r\nobject\r\n$1024\r\n"+key[:1024]+"\r\n") {
		t.Errorf("ACL LOG: %.2000q", got)
	}
	if got := other.do("CLIENT KILL USER u", "CLIENT LIST"); !strings.HasPrefix(got, ":1\r\n") || strings.Contains(got, " user=u ") {
		t.Errorf("CLIENT KILL, CLIENT LIST: %q", got)
	}
	w.rest()
}

// A client that has not logged in cannot make anybody keep much for it.
func TestGuestsSendLittle(t *testing.T) {
	r := start(t, func(c *Config) { c.Password = "secret" })
	plain := redistest.Start(t)
	dial(t, plain.Addr).want("CONFIG SET requirepass secret", "+OK\r\n")
	for _, raw := range []string{"*11\r\n", "*10\r\n$16385\r\n", "*2\r\n$4\r\nAUTH\r\n$100000000\r\n"} {
		var got [2]string
		for i, addr := range []string{plain.Addr, r.addr} {
			w := dial(t, addr)
			w.send(raw)
			got[i] = w.rest()
		}
		if got[0] != got[1] || !strings.HasPrefix(got[0], "-ERR Protocol error: unauthenticated") {
			t.Errorf("%q: got %q, redis %q", raw, got[1], got[0])
		}
	}
	w := r.dial()
	long := strings.Repeat("x", 20_000)
	w.send("AUTH secret\r\n" + string(resp.AppendCommandStrings(nil, "ECHO", long)))
	if got := w.reply() + w.reply(); got != "+OK\r\n$20000\r\n"+long+"\r\n" {
		t.Errorf("got %.100q", got)
	}
}

// Who may do everything pays nothing for the rules of others.
func TestUnlimitedUsersNeedNoLook(t *testing.T) {
	r, _ := startBeside(t, nil)
	w := r.dial()
	w.do("ACL SETUSER root on nopass +@all ~* &*", "ACL SETUSER almost on nopass +@all ~*")
	for name, careful := range map[string]bool{"default": false, "root": false, "almost": true} {
		w := r.dial()
		w.do("CLIENT SETNAME "+name, "AUTH "+name+" x")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		for _, s := range r.server.snapshot() {
			if text := s.name.Load(); text == nil || *text != name {
				continue
			}
			seen := make(chan bool, 1)
			s.loop.poller.Post(func() { seen <- s.careful })
			select {
			case got := <-seen:
				if got != careful {
					t.Errorf("%s: careful %v, want %v", name, got, careful)
				}
			case <-ctx.Done():
				t.Error("the loop does not answer")
			}
		}
		cancel()
	}
}
