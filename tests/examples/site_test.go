package examples

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// answers says whether somebody listens at the address at the end of a line.
func answers(line string) bool {
	conn, err := net.DialTimeout("tcp", line[strings.LastIndex(line, " ")+1:], time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// The high-availability example as prepare.sh writes it, on six machines that are network namespaces: what clients write through the virtual
// addresses is there at the end, in both regions, whatever dies in between.
func TestSiteOutlivesItsParts(t *testing.T) {
	redistest.Slow(t)
	if !isolated(t) {
		return
	}
	s := prepareSite(t)
	s.check()
	s.startAll()
	eu, us := s.client("10.1.0.100:7000"), s.client("10.2.0.100:7000")
	s.write(eu, "all is well")
	s.arrives(us, "all is well")
	s.write(us, "and back")
	s.arrives(eu, "and back")

	primary := s.primary("eu")
	s.kill(primary, "redis")
	s.write(eu, "the primary is dead")
	s.arrives(us, "the primary is dead")

	holder := s.holder("eu")
	s.kill(holder, "haproxy")
	s.write(eu, "HAProxy is dead")
	if s.holder("eu") == holder {
		t.Errorf("the address is still at %s, whose HAProxy is dead", holder)
	}
	s.start(holder, "haproxy")
	eventually(t, "keepalived sees that HAProxy is back", func() bool {
		log := s.running[holder+" keepalived"].Log()
		return strings.LastIndex(log, "Entering BACKUP STATE") > strings.LastIndex(log, "Entering FAULT STATE")
	})
	if s.holder("eu") == holder {
		t.Errorf("the address went back to %s, and broke all connections once more", holder)
	}

	s.kill("eu-1", "anabranch")
	s.kill("eu-2", "anabranch")
	s.write(eu, "the region's proxies are dead")
	if got := us.Get(t.Context(), "the region's proxies are dead").Val(); got != "yes" {
		t.Error("the other region did not take the client")
	}

	s.start("eu-1", "anabranch")
	for _, key := range s.written {
		s.arrives(us, key)
		s.arrives(s.client("10.1.0.1:6380"), key)
	}
}

// placeholder is what prepare.sh replaces.
var placeholder = regexp.MustCompile(`@[a-z_]+@`)

// check has the programs that read the files say what they think of them.
func (s *site) check() {
	s.t.Helper()
	for machine := range s.machines {
		etc := filepath.Join(s.dir, machine, "etc")
		if strings.HasSuffix(machine, "-3") {
			continue // without HAProxy
		}
		output(s.t, nil, redistest.HAProxyBinary(s.t), "-c", "-f", filepath.Join(etc, "haproxy", "haproxy.cfg"))
		// keepalived 2.2 ends itself when it tests a file whose scripts run as somebody else; later it runs the file as it is.
		tested := filepath.Join(etc, "keepalived", "tested.conf")
		text := strings.Replace(read(s.t, filepath.Join(etc, "keepalived", "keepalived.conf")), "script_user nobody", "script_user root", 1)
		if err := os.WriteFile(tested, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
		if said := s.in(machine, "keepalived", "--config-test", "--use-file", tested); said != "" {
			s.t.Errorf("keepalived --config-test: %s", said)
		}
	}
	err := filepath.WalkDir(s.dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && placeholder.MatchString(read(s.t, path)) {
			s.t.Errorf("%s is not filled in: %s", path, placeholder.FindString(read(s.t, path)))
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// write sets a key until that is acknowledged.
func (s *site) write(client *redis.Client, key string) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
		err = client.Set(ctx, key, "yes", 0).Err()
		cancel()
		if err == nil {
			s.written = append(s.written, key)
			return
		}
	}
	s.t.Fatalf("nothing can be written after %q: %v", key, err)
}

func (s *site) arrives(client *redis.Client, key string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%q arrives", key), func() bool { return client.Get(s.t.Context(), key).Val() == "yes" })
}
