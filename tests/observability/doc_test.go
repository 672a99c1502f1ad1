// Package observability checks what operators are given to watch Anabranch with: the alert rules and the Grafana dashboard of
// examples/observability against the metrics that there are, against Prometheus's own tool, and against a real proxy.
package observability

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
