package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resp"
)

// What the scripts of the tests do with their arguments, which are a command.
var (
	scriptBodies = map[string]string{
		"call":  `local r = redis.call(unpack(ARGV)) return r`,
		"pcall": `local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and r.err then return 'caught: ' .. r.err end return r`,
		"check": `return tostring(redis.acl_check_cmd(unpack(ARGV)))`,
		"three": "redis.setresp(3) local r = redis.call(unpack(ARGV)) return r",
		"twice": `local ok = redis.pcall('set', 'a', 'twice') return {type(ok) == 'table' and (ok.ok or ok.err), redis.call(unpack(ARGV))}`,
	}
	scriptModes = []string{"call", "pcall", "check", "three", "twice"}
)

// functionLibrary has the bodies as functions.
func functionLibrary() string {
	code := "#!lua name=bodies\n"
	for _, mode := range scriptModes {
		code += fmt.Sprintf("redis.register_function('%s', function(KEYS, ARGV) %s end)\n", mode, strings.ReplaceAll(scriptBodies[mode], "\n", " "))
	}
	return code
}

// line is a command in a form that play sends.
func line(args ...string) string {
	return strings.TrimSuffix(string(resp.AppendCommandStrings(nil, args...)), "\r\n")
}

// Random users run scripts that call random commands: the same is allowed as on Redis, with the same words.
func TestRandomScriptsAreAllowedAsOnRedis(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	key := func() string { return pick("a", "b", "ab", "ba", "c:1", "c:2", "[x]", "") }
	rule := func() string {
		return pick("+@all", "+@all", "-@all +@scripting", "+@read", "+@write", "-@string", "+@pubsub", "+get", "-get", "+set", "+mget", "+object|encoding",
			"-object", "+@keyspace", "~*", "~a*", "~c:*", "%R~b*", "%W~a", "%RW~?", "~[a-b]", "~[^c]*", "~\\[x\\]", "~", "%R~*", "resetkeys", "&*", "&a*",
			"&b", "resetchannels", "("+pick("+@all", "+get", "+@write", "+sort")+" "+pick("~a*", "%R~*", "~c:*", "allkeys")+pick("", " &b")+")", "clearselectors",
			"+select|0", "-select", "-eval", "-@dangerous")
	}
	command := func() []string {
		a, b := key(), key()
		commands := [][]string{
			{"GET", a}, {"set", a, "v"}, {"SET", a, "v", "GET"}, {"MGET", a, b}, {"DEL", a, b}, {"COPY", a, b, "REPLACE"}, {"RENAME", a, b},
			{"SADD", "s" + a, "1", "2"}, {"SMEMBERS", "sa"}, {"SINTERCARD", "2", "s" + a, "s" + b}, {"ZUNIONSTORE", "z" + a, "1", "z" + b},
			{"PUBLISH", a, "m"}, {"SPUBLISH", a, "m"}, {"EXISTS", a, b}, {"TYPE", a}, {"DBSIZE"}, {"PING"}, {"ECHO", "x"}, {"SELECT", "0"}, {"SELECT", "1"},
			{"SORT", "s" + a}, {"SORT", "s" + a, "BY", "w*"}, {"SORT", "s" + a, "BY", "nosort", "GET", "#"}, {"SORT_RO", "s" + a, "GET", "w*"},
			{"SORT", "s" + a, "LIMIT", "0", "1", "STORE", b}, {"OBJECT", "ENCODING", a}, {"OBJECT", "NOSUCH", a}, {"object"}, {"GET"}, {"GET", a, b},
			{"EVAL", "return 1", "0"}, {"CONFIG", "GET", "port"}, {"ACL", "WHOAMI"}, {"NOSUCH", a}, {"XREAD", "STREAMS", "x" + a, "x" + b, "0", "0"},
			{"GETDEL", a}, {"GETEX", a, "PERSIST"}, {"BITFIELD", a, "GET", "u8", "0"}, {"BITFIELD_RO", a, "GET", "u8", "0"}, {"LCS", a, b},
			{"LMPOP", "2", "l" + a, "l" + b, "LEFT"}, {"TOUCH", a}, {"EXPIRE", a, "1000"}, {"HSET", "h" + a, "f", "1"}, {"KEYS", "c:1"},
			{"GEORADIUS", "g" + a, "1", "1", "1", "m", "STORE", "g" + b}, {"PFCOUNT", a}, {"SUBSCRIBE", a}, {"PSUBSCRIBE", "a*"}, {"SET", a}, {"RENAME", a},
			{"MSET", a}, {"MSET", a, "1", b, "2"}, {"XCRDT.AS", "+@all", "EVAL", "return 1", "0"}, {"XCRDT.TRY", "0", "GET", a}, {"CRDT", "STATUS"},
		}
		return commands[random.IntN(len(commands))]
	}
	r, plain := startBeside(t, nil)
	direct, through := &wires{t, plain.Addr, map[string]*wire{}}, &wires{t, r.addr, map[string]*wire{}}
	outcomes := map[string]int{}
	both := func(name, line string) string {
		want, got := direct.play(name, line, 1), through.play(name, line, 1)
		if want != got {
			t.Errorf("%s: %q: got %q, redis %q (seed %d)", name, line, got, want, seed)
		}
		return want
	}
	both("admin", line("FUNCTION", "LOAD", functionLibrary()))
	shas := map[string]string{}
	for _, mode := range scriptModes {
		reply := both("admin", line("SCRIPT", "LOAD", scriptBodies[mode]))
		_, sha, _ := strings.Cut(reply, "\r\n")
		shas[mode] = strings.TrimSpace(sha)
	}
	run := func() string {
		mode := pick(scriptModes...)
		var call []string
		switch ro := pick("", "", "_RO"); random.IntN(3) {
		case 0:
			call = []string{"EVAL" + ro, scriptBodies[mode], "0"}
		case 1:
			call = []string{"EVALSHA" + ro, shas[mode], "0"}
		case 2:
			call = []string{"FCALL", mode, "0"}
		}
		return line(append(call, command()...)...)
	}
	note := func(reply string) {
		for _, part := range []string{"can't run this command", "can't access at least one", "can't publish", "caught: ERR The user", "+OK", "$4\r\ntrue", "$5\r\nfalse"} {
			if strings.Contains(reply, part) {
				outcomes[part]++
			}
		}
	}
	for range 40 {
		both("admin", "ACL SETUSER u reset on nopass +@all -@dangerous ~a* "+rule())
		both("admin", "SADD sa 3 1 2")
		both("user", "AUTH u x")
		for range 5 {
			both("admin", "ACL SETUSER u "+rule()+" "+rule()+" +eval +evalsha +fcall +eval_ro +multi +exec")
			for range 12 {
				note(both("user", run()))
			}
			if random.IntN(4) == 0 {
				first, second := run(), run()
				both("user", "MULTI")
				both("user", first)
				both("user", second)
				reply := both("user", "EXEC")
				note(reply)
				if t.Failed() {
					t.Logf("queued: %q, %q", first, second)
				}
			}
			both("user", "SELECT 0")
			// A script of who may do everything has no part in the rules of the one before.
			both("admin", line("EVAL", scriptBodies["pcall"], "0", "SET", "unlimited", "1"))
		}
		if t.Failed() {
			t.Fatalf("the user: %s", direct.play("admin", "ACL GETUSER u", 1))
		}
	}
	if len(outcomes) != 7 {
		t.Errorf("never came to everything: %v", outcomes)
	}
}

// Names fit patterns in scripts exactly if they do on Redis.
func TestPatternsInScriptsAreRedisOwn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(letters string, most int) string {
		word := make([]byte, random.IntN(most))
		for i := range word {
			word[i] = letters[random.IntN(len(letters))]
		}
		return string(word)
	}
	r, plain := startBeside(t, nil)
	direct, through := &wires{t, plain.Addr, map[string]*wire{}}, &wires{t, r.addr, map[string]*wire{}}
	both := func(name, line string) string {
		want, got := direct.play(name, line, 1), through.play(name, line, 1)
		if want != got {
			t.Errorf("%s: %q: got %q, redis %q (seed %d)", name, line, got, want, seed)
		}
		return want
	}
	names := []string{"EVAL", `local out = {} for i = 1, #ARGV do out[i] = redis.acl_check_cmd('get', ARGV[i]) and '1' or '0' end return table.concat(out)`, "0"}
	for range 400 {
		names = append(names, text("abbc*[]-^\\\x7f\x80\xff", 8))
	}
	fit, unfit := 0, 0
	for range 400 {
		pattern := text("aabc**??[[[]]]^--\\\x7f\x80\xff", 12)
		both("admin", line("ACL", "SETUSER", "u", "reset", "on", "nopass", "+@all", "%R~"+pattern))
		both("user", "AUTH u x")
		reply := both("user", line(names...))
		fit, unfit = fit+strings.Count(reply, "1"), unfit+strings.Count(reply, "0")
		if t.Failed() {
			t.Fatalf("the pattern: %q", pattern)
		}
	}
	if fit < 2000 || unfit < 2000 {
		t.Errorf("%d names fitted, %d did not", fit, unfit)
	}
	both("admin", line("ACL", "SETUSER", "u", "reset", "on", "nopass", "+@all", "~"+strings.Repeat("*a", 200)+"*b"))
	both("user", line(names[0], names[1], names[2], strings.Repeat("a", 2000)))
}

// A limited user's script that is stopped leaves no rules behind, and others see the command that its client sent.
func TestRulesEndWithTheScript(t *testing.T) {
	r, _ := startBeside(t, nil)
	r.direct("CONFIG SET lua-time-limit 50")
	admin, limited := r.dial(), r.dial()
	admin.do(`FUNCTION LOAD "#!lua name=l\nredis.register_function('loop', function() while true do redis.call('get', 'a') end end)"`)
	admin.do("CONFIG SET slowlog-log-slower-than 0")
	admin.want("ACL SETUSER u on nopass -@all +fcall +get ~a", "+OK\r\n")
	limited.want("AUTH u x", "+OK\r\n")
	limited.send("FCALL loop 0\r\n")
	eventually(t, "it runs", func() bool { return strings.HasPrefix(admin.do("GET k"), "-BUSY") })
	if got := admin.do("FUNCTION STATS"); !strings.Contains(got, "$4\r\nname\r\n$4\r\nloop\r\n$7\r\ncommand\r\n*3\r\n$5\r\nFCALL\r\n$4\r\nloop\r\n$1\r\n0\r\n") {
		t.Errorf("FUNCTION STATS: %q", got)
	}
	admin.want("FUNCTION KILL", "+OK\r\n")
	if got := limited.reply(); !strings.Contains(got, "killed by user") {
		t.Errorf("got %q", got)
	}
	admin.want(`EVAL "return redis.call('set', 'b', 1)" 0`, "+OK\r\n")
	got := admin.do("SLOWLOG GET -1")
	if strings.Contains(got, "XCRDT") || !strings.Contains(got, "*3\r\n$5\r\nFCALL\r\n$4\r\nloop\r\n$1\r\n0\r\n") {
		t.Errorf("SLOWLOG GET: %q", got)
	}
}

// Scripts see what Redis knows of a command in one form, whatever protocol they have chosen.
func TestScriptsInRESP3AreHeldToTheRules(t *testing.T) {
	r, _ := startBeside(t, nil)
	admin, limited := r.dial(), r.dial()
	admin.want("ACL SETUSER u on nopass +@all ~a", "+OK\r\n")
	limited.want("AUTH u x", "+OK\r\n")
	for line, want := range map[string]string{
		`EVAL "redis.setresp(3) redis.call('swapdb', 0, 1)" 0`:       "-ERR 'swapdb' is not available through Anabranch",
		`EVAL "redis.setresp(3) redis.call('config', 'rewrite')" 0`:  "-ERR This Redis command is not allowed from script",
		`EVAL "redis.setresp(3) redis.call('getset', 'b', 'x')" 0`:   "-ERR The user executing the script can't access at least one of the keys",
		`EVAL_RO "redis.setresp(3) redis.call('lpush', 'a', 1)" 0`:   "-ERR Write commands are not allowed from read-only scripts.",
		`EVAL "redis.setresp(3) redis.call('object', 'idle', 1)" 0`:  "-ERR Unknown Redis command called from script",
		`EVAL "redis.setresp(3) redis.call('hrandfield', 'b')" 0`:    "-ERR The user executing the script can't access at least one of the keys",
		`EVAL "redis.setresp(3) return redis.call('getset', 'a')" 0`: "-ERR Wrong number of args calling Redis command from script",
	} {
		if got := limited.do(line); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
