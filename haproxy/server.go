package haproxy

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Server is a proxy that clients are sent to.
type Server struct {
	Region    string
	Host      string
	Port      int
	AdminPort int // for health checks; it is needed, since only the proxy knows whether it can serve
	AgentPort int // for agent checks, 0 for none
}

// DefaultAdminPort is that of `anabranch serve`.
const DefaultAdminPort = 6580

// ParseServer reads REGION=HOST:PORT[,admin=PORT][,agent=PORT].
func ParseServer(text string) (Server, error) {
	parts := strings.Split(text, ",")
	region, addr, found := strings.Cut(parts[0], "=")
	host, port, err := net.SplitHostPort(addr)
	if !found || region == "" || err != nil || host == "" {
		return Server{}, fmt.Errorf("%q: expected REGION=HOST:PORT[,admin=PORT][,agent=PORT]", text)
	}
	s := Server{Region: region, Host: host, AdminPort: DefaultAdminPort}
	if s.Port, err = parsePort(port); err != nil {
		return Server{}, fmt.Errorf("%q: %w", text, err)
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		number, err := parsePort(value)
		switch {
		case err != nil:
			return Server{}, fmt.Errorf("%q: %s: %w", text, name, err)
		case name == "admin":
			s.AdminPort = number
		case name == "agent":
			s.AgentPort = number
		default:
			return Server{}, fmt.Errorf("%q: what is %q? There are admin=PORT and agent=PORT", text, part)
		}
	}
	return s, s.validate()
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q is no port from 1 to 65535", text)
	}
	return port, nil
}

// validate keeps anything from getting into a configuration file, or a command, as something else than a name or an address.
func (s Server) validate() error {
	for _, text := range []string{s.Region, s.Host} {
		if err := validWord(text); err != nil {
			return err
		}
	}
	switch {
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("%s: %d is no port", s.Host, s.Port)
	case s.AdminPort < 1 || s.AdminPort > 65535:
		return fmt.Errorf("%s: %w", s.addr(), errNoAdmin)
	case s.AgentPort < 0 || s.AgentPort > 65535:
		return fmt.Errorf("%s: %d is no port for agent checks", s.addr(), s.AgentPort)
	}
	return nil
}

var errNoAdmin = errors.New("has no admin port that HAProxy reaches, and so no health check")

func validWord(text string) error {
	for _, r := range text {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:", r) {
			return fmt.Errorf("%q has a character that cannot stand in a name or an address", text)
		}
	}
	if text == "" {
		return errors.New("an empty name or address")
	}
	return nil
}

func (s Server) addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// slotName is what a server is called in HAProxy: its region and a number.
func slotName(region string, number int) string { return region + "-" + strconv.Itoa(number) }

// regionOfSlot is the inverse; ok is false for a server that is none of ours.
func regionOfSlot(name string) (region string, ok bool) {
	at := strings.LastIndexByte(name, '-')
	if at < 1 {
		return "", false
	}
	_, err := strconv.Atoi(name[at+1:])
	return name[:at], err == nil
}
