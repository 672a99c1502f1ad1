package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"anabranch/internal/status"
)

// kind is what Prometheus calls the type of a metric.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// metric is one row of the table: a name, what it means, and where in the document its values are.
type metric struct {
	name   string
	kind   kind
	labels []string
	help   string
	read   func(d *status.Document, out emit)
}

// emit takes one value, with the values of the labels.
type emit func(value float64, labels ...string)

// of reads a single number.
func of[N int | int64 | float64](field func(d *status.Document) N) func(*status.Document, emit) {
	return func(d *status.Document, out emit) { out(float64(field(d))) }
}

// is reads a yes or no.
func is(field func(d *status.Document) bool) func(*status.Document, emit) {
	return func(d *status.Document, out emit) { out(number(field(d))) }
}

// each reads a number of every other region.
func each(field func(p *status.Peer) float64) func(*status.Document, emit) {
	return func(d *status.Document, out emit) {
		for i := range d.Peers {
			out(field(&d.Peers[i]), d.Peers[i].Name)
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(millis int64) float64 { return float64(millis) / 1000 }

func (m metric) valueType() prometheus.ValueType {
	if m.kind == counter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}
