package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// socketInode is how the kernel names the socket at the far end of a loopback connection that was accepted; "" when it is gone.
func socketInode(accepted net.Conn) string {
	far, near := hexAddr(accepted.RemoteAddr()), hexAddr(accepted.LocalAddr())
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	// The table has a line for every connection of the machine, so it is not taken apart.
	_, rest, found := bytes.Cut(table, []byte(" "+far+" "+near+" "))
	if fields := bytes.Fields(rest[:min(len(rest), 200)]); found && len(fields) > 6 {
		return string(fields[6])
	}
	return ""
}

// hexAddr is an IPv4 address as /proc/net/tcp writes it.
func hexAddr(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return ""
	}
	ip := tcp.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
}

// owns says whether a process holds the socket with that inode.
func owns(pid int, inode string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
