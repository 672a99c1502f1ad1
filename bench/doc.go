// Command bench measures Anabranch against plain Redis on one machine, in one run, and prints markdown tables.
//
//	bench ──► redis-server                                        (plain)
//	      ──► anabranch A ──► redis-server ─ peer link ─► region B  (anabranch)
//
// The two are measured in turns, A B A B, and the medians are compared, so that what else the machine does hits both.
// Only commands whose reply has arrived inside the measured time count. README.md beside this file has the method and
// results.
//
// It is no load generator for networks or clusters: everything runs on loopback and competes for the same cores.
package main
