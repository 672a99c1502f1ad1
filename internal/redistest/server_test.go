package redistest

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("REDISTEST_ORPHAN") != "" {
		orphan()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestAcknowledgedWritesSurviveAKillWithAOF(t *testing.T) {
	ctx := t.Context()
	s := Start(t, WithAOF())
	client := s.Client()
	if err := client.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if s.Running() {
		t.Fatal("still running after Kill")
	}
	if err := client.Ping(ctx).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Restart()
	if got := client.Get(ctx, "k").Val(); got != "v" {
		t.Fatalf("k = %q after the restart, want v", got)
	}
}

func TestWithoutAOFNothingSurvives(t *testing.T) {
	ctx := t.Context()
	s := Start(t)
	client := s.Client()
	if err := client.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if n := client.DBSize(ctx).Val(); n != 0 {
		t.Fatalf("%d keys after the restart, want 0", n)
	}
}

func TestConfigLinesWin(t *testing.T) {
	s := Start(t, WithConfig("maxmemory 77mb", "appendonly yes"))
	got := s.Client().ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"]
	if want := strconv.Itoa(77 << 20); got != want {
		t.Fatalf("maxmemory = %s, want %s", got, want)
	}
}

func TestPauseFreezesAndContinueThaws(t *testing.T) {
	s := Start(t)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	client := s.Client()
	if err := client.Ping(ctx).Err(); err == nil {
		t.Fatal("a paused server answers")
	}
	s.Continue()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("after Continue: %v", err)
	}
}

func TestManyServersStartAtOnce(t *testing.T) {
	var (
		mu    sync.Mutex
		ports = map[string]bool{}
	)
	t.Run("group", func(t *testing.T) {
		for range 8 {
			t.Run("server", func(t *testing.T) {
				t.Parallel()
				s := Start(t)
				mu.Lock()
				defer mu.Unlock()
				if ports[s.Addr] {
					t.Fatalf("%s was handed out twice", s.Addr)
				}
				ports[s.Addr] = true
			})
		}
	})
}

// orphan is the body of a test process that is killed: it starts a server, prints its process id and never cleans up.
func orphan() {
	p, err := spawn(os.DevNull, nil, "sleep", "600")
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(strconv.Itoa(p.cmd.Process.Pid) + "\n")
	time.Sleep(10 * time.Minute)
}

func TestChildrenDieWithTheTestProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REDISTEST_ORPHAN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child is gone before its parent: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if !alive(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the test process", pid)
		}
	}
}

// alive counts a zombie as dead: in a container nobody may reap it.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestClockOfItsOwn(t *testing.T) {
	s := Start(t, WithClock(2*time.Hour))
	c := Dial(t, s.Addr)
	for _, offset := range []time.Duration{2 * time.Hour, -3 * time.Hour, 0, -1500 * time.Millisecond} {
		s.SetClock(offset)
		before := time.Now()
		reply := c.Must("TIME")
		seconds, _ := strconv.ParseInt(reply.Items[0].Text, 10, 64)
		micros, _ := strconv.ParseInt(reply.Items[1].Text, 10, 64)
		got := time.Unix(seconds, micros*1000)
		if got.Before(before.Add(offset-time.Millisecond)) || got.After(time.Now().Add(offset+time.Millisecond)) {
			t.Errorf("clock set to %v shows %v", offset, time.Until(got))
		}
	}
}
