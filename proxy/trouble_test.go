package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/internal/resp"
)

// Clients go on while the engine disappears, is replaced unarmed, and connections are cut. Every command gets exactly one
// answer in its place, and a read behind an acknowledged write of the same client sees it.
func TestOrderUnderTrouble(t *testing.T) {
	r := start(t, func(c *Config) { c.Loops = 2 })
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var acknowledged, refused atomic.Int64
	for id := range 16 {
		clients.Go(func() {
			w := r.dial()
			key := fmt.Sprintf("key:%d", id)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var stream []byte
				values := make([]string, 4)
				for i := range values {
					values[i] = fmt.Sprintf("%d.%d", n, i)
					stream = resp.AppendCommandStrings(stream, "SET", key, values[i])
					stream = resp.AppendCommandStrings(stream, "GET", key)
					stream = resp.AppendCommandStrings(stream, "ECHO", values[i])
					stream = resp.AppendCommandStrings(stream, "DEL", "none:"+key)
				}
				w.send(string(stream))
				for _, value := range values {
					set, get, echo, del := w.reply(), w.reply(), w.reply(), w.reply()
					want := string(resp.AppendBulkString(nil, value))
					if set == "+OK\r\n" {
						acknowledged.Add(1)
						if get != want && get[0] != '-' {
							t.Errorf("GET after an acknowledged SET of %s: %q", value, get)
						}
					} else {
						refused.Add(1)
					}
					if echo != want || del != ":0\r\n" && del[0] != '-' || set != "+OK\r\n" && set[0] != '-' {
						t.Errorf("replies out of place: %q %q %q %q", set, get, echo, del)
						return
					}
				}
			}
		})
	}
	trouble := dial(t, r.redis.Addr)
	for i := range 40 {
		time.Sleep(15 * time.Millisecond)
		switch i % 4 {
		case 0, 2:
			trouble.want("FUNCTION FLUSH", "+OK\r\n")
		case 1:
			trouble.send("FUNCTION DUMP\r\n")
			dump := trouble.reply()
			if head := strings.Index(dump, "\r\n"); head > 0 && dump[0] == '$' {
				trouble.send(string(resp.AppendCommandStrings(nil, "FUNCTION", "RESTORE", dump[head+2:len(dump)-2], "FLUSH")))
				trouble.reply() // loaded again, and so no longer armed
			}
		case 3:
			trouble.do("CLIENT KILL TYPE normal SKIPME yes")
		}
	}
	close(stop)
	clients.Wait()
	if acknowledged.Load() == 0 {
		t.Error("nothing was served")
	}
	t.Logf("%d acknowledged, %d refused", acknowledged.Load(), refused.Load())
}
