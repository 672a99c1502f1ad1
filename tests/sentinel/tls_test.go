package sentinel

import (
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// Redis and Sentinels speak TLS alone, with certificates on both sides; the primary dies.
func TestFailOverUnderTLS(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	authority := redistest.NewAuthority(t)
	own := authority.Issue("anabranch")
	cluster := redistest.StartCluster(t, 1, redistest.WithGuard("A", redistest.Guard{TLS: authority, Replicas: 1}), redistest.WithFlags(
		"--redis-tls-ca-file", authority.CAFile, "--redis-tls-cert-file", own.CertFile, "--redis-tls-key-file", own.KeyFile))
	g, a := cluster.Regions[0].Guarded, cluster.Regions[0].Proxy()
	l, end := startLoad(t, 2, 1, a)
	soon(t, "many writes are safe", func() bool { return l.ledger.safe() >= 100 })
	old := g.Primary()
	old.Kill()
	firstWrite(t, a.Addr)
	soon(t, "the Sentinels name another primary", func() bool { return g.Primary() != old })
	l.replicas.Store(0)
	time.Sleep(time.Second)
	end()
	settle(t, cluster, l)
}
