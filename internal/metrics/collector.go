package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"anabranch/internal/backend"
	"anabranch/internal/status"
)

// scrapeTime bounds what one scrape may ask of Redis.
const scrapeTime = 3 * time.Second

// Source is where the figures come from.
type Source interface {
	Document(ctx context.Context) status.Document
}

// Traffic has the histograms.
type Traffic interface {
	RoundTrips(kind backend.TripKind) backend.RoundTrips
}

// collector reads everything at the moment of a scrape.
type collector struct {
	source  Source
	table   []metric
	descs   []*prometheus.Desc // of table, in its order
	traffic Traffic            // nil: no histograms
	trips   *prometheus.Desc
}

// roundTrips is the histogram; its values are no part of the document.
var roundTrips = metric{"anabranch_backend_round_trip_seconds", histogram, []string{"kind"},
	"How long Redis took for calls of this proxy, each of which may carry many commands: read, write, script, transaction.", nil}

// NewRegistry makes a registry with all metrics of one proxy, of Go and of the process. Ours carry the region's name.
func NewRegistry(region string, source Source, traffic Traffic) *prometheus.Registry {
	return register(region, &collector{source: source, table: table, traffic: traffic})
}

// NewPassiveRegistry is for a proxy in passive mode, of which less is to be told.
func NewPassiveRegistry(region string, source Source) *prometheus.Registry {
	return register(region, &collector{source: source, table: passiveTable})
}

func register(region string, c *collector) *prometheus.Registry {
	labels := prometheus.Labels{"region": region}
	c.trips = prometheus.NewDesc(roundTrips.name, roundTrips.help, roundTrips.labels, labels)
	for _, m := range c.table {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, m.labels, labels))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Handler answers scrapes.
func Handler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		out <- desc
	}
	if c.traffic != nil {
		out <- c.trips
	}
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	d := c.source.Document(ctx)
	for i := range c.table {
		m := &c.table[i]
		m.read(&d, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(c.descs[i], m.valueType(), value, labels...)
		})
	}
	if c.traffic == nil {
		return
	}
	for _, kind := range backend.TripKinds() {
		out <- c.histogram(kind)
	}
}

// histogram adds the buckets up, as Prometheus wants them.
func (c *collector) histogram(kind backend.TripKind) prometheus.Metric {
	trips := c.traffic.RoundTrips(kind)
	limits, total := map[float64]uint64{}, uint64(0)
	for i, n := range trips.Counts {
		total += uint64(n)
		if i < len(trips.Limits) {
			limits[trips.Limits[i].Seconds()] = total
		}
	}
	return prometheus.MustNewConstHistogram(c.trips, total, trips.Sum.Seconds(), limits, kind.String())
}
