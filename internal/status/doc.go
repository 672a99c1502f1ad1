// Package status is what one proxy tells of itself and of its region: one document, from which `anabranch status`, /status, the
// metrics and the dashboard all take their figures, so that no two of them can differ.
//
//	backend ─┐
//	proxy  ──┼─► Source ─► Document ─┬─► /status, anabranch status
//	syncer ──┘                       ├─► metrics
//	                                 └─► dashboard
//
// What a proxy counts itself is of this proxy alone: clients, commands, round trips. What is said of the region and of the links to
// the others was found out by the proxy that leads the region, and every proxy of it tells the same.
//
// It asks, and changes nothing. A Document tells names of regions, numbers and errors of servers; never a key, and never a value.
package status
