// Package listen takes connections, for every port of Anabranch that is not HTTP. Who may come, and what becomes of a connection, is the
// affair of whoever it is handed to. The invariant: no error of one connection ends the others.
package listen
