// Package security holds tests of what protects the ports and the ways between regions: real processes, real certificates, and
// peers that mean no good.
package security
