// Package metrics shows a proxy's status to Prometheus. It counts nothing: each figure is a field of the status document, or a
// histogram that the backend keeps, read at the moment of a scrape. docs/metrics.md lists them all, and a test compares.
package metrics
