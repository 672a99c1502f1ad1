package sentinel

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Scheme and SchemeTLS begin the URLs that ParseURL takes.
const (
	Scheme    = "redis-sentinel"
	SchemeTLS = "rediss-sentinel"
)

// URLForm is the form of these URLs, for error messages.
const URLForm = "redis-sentinel://[user:password@]host:port,host:port/primary-name"

// defaultPort is where a Sentinel listens unless it was told otherwise.
const defaultPort = "26379"

// URL is what a redis-sentinel:// URL says. User and password in front of the hosts are those of Redis; those of the Sentinels are
// parameters.
//
//	redis-sentinel://user:password@host:port,host:port/primary-name?sentinel-user=…&sentinel-password=…&sentinel-tls=no
//
// With rediss-sentinel:// both Redis and the Sentinels speak TLS; sentinel-tls=yes or no says something else of the Sentinels.
type URL struct {
	Sentinels []string // HOST:PORT
	Name      string   // of the primary, as in "sentinel monitor"
	Redis     *url.Userinfo
	Sentinel  *url.Userinfo
	TLS       bool // of Redis

	SentinelTLS bool
}

// namePattern is which names a Sentinel takes.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Is reports whether a text is meant to be such a URL.
func Is(text string) bool {
	scheme, _, _ := strings.Cut(text, "://")
	return scheme == Scheme || scheme == SchemeTLS
}

// ParseURL reads such a URL. Its errors quote nothing: where a character of a password was not escaped, every part may hold some of it.
func ParseURL(text string) (URL, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	if !Is(text) {
		return URL{}, errors.New("expected " + URLForm)
	}
	// Package net/url knows no list of hosts, so it is shown a URL with one.
	authority, tail := rest, ""
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		authority, tail = rest[:at], rest[at:]
	}
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	parsed, err := url.Parse(scheme + "://" + user + "hosts" + tail)
	if err != nil {
		return URL{}, errors.New("is no URL; expected " + URLForm)
	}
	u := URL{Name: strings.TrimPrefix(parsed.Path, "/"), Redis: parsed.User, TLS: scheme == SchemeTLS}
	u.SentinelTLS = u.TLS
	if !namePattern.MatchString(u.Name) {
		return URL{}, errors.New("must name the primary as the Sentinels do; expected " + URLForm)
	}
	if parsed.Fragment != "" {
		return URL{}, errors.New("must not have a fragment; expected " + URLForm)
	}
	for i, host := range strings.Split(hosts, ",") {
		addr, err := sentinelAddr(host)
		if err != nil {
			return URL{}, fmt.Errorf("Sentinel %d: %w", i+1, err)
		}
		u.Sentinels = append(u.Sentinels, addr)
	}
	return u, u.parameters(parsed)
}

func (u *URL) parameters(parsed *url.URL) error {
	values, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return errors.New("has parameters that cannot be read")
	}
	for name, list := range values {
		if len(list) != 1 {
			return errors.New("a parameter is there twice")
		}
		switch name {
		case "sentinel-user", "sentinel-password":
		case "sentinel-tls":
			if list[0] != "yes" && list[0] != "no" {
				return errors.New("sentinel-tls: expected yes or no")
			}
			u.SentinelTLS = list[0] == "yes"
		default:
			return errors.New("a parameter is not known; there are sentinel-user, sentinel-password and sentinel-tls")
		}
	}
	password := values.Get("sentinel-password")
	switch {
	case password != "":
		u.Sentinel = url.UserPassword(values.Get("sentinel-user"), password)
	case values.Has("sentinel-user"):
		return errors.New("sentinel-user: needs a sentinel-password")
	}
	return nil
}

var errNoAddress = errors.New("expected HOST:PORT")

// sentinelAddr checks one host of the list and adds the port that a Sentinel has by default.
func sentinelAddr(text string) (string, error) {
	host, port := text, defaultPort
	if strings.LastIndexByte(text, ':') > strings.LastIndexByte(text, ']') {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", errNoAddress
		}
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if host == "" || strings.ContainsAny(host, "[] \t") {
		return "", errNoAddress
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", errors.New("the port must be a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// RedisURL says in the form of a plain URL how to log in to Redis. Its host is none: the Sentinels know it.
func (u URL) RedisURL() string {
	scheme := "redis"
	if u.TLS {
		scheme = "rediss"
	}
	return (&url.URL{Scheme: scheme, User: u.Redis, Host: u.Name}).String()
}

// String leaves passwords out.
func (u URL) String() string {
	scheme, query := Scheme, []string(nil)
	if u.TLS {
		scheme = SchemeTLS
	}
	if u.Sentinel != nil {
		if name := u.Sentinel.Username(); name != "" {
			query = append(query, "sentinel-user="+url.QueryEscape(name))
		}
		query = append(query, "sentinel-password=***")
	}
	if u.SentinelTLS != u.TLS {
		query = append(query, "sentinel-tls="+map[bool]string{true: "yes", false: "no"}[u.SentinelTLS])
	}
	text := scheme + "://"
	if u.Redis != nil {
		text += url.User(u.Redis.Username()).String()
		if _, set := u.Redis.Password(); set {
			text += ":***"
		}
		text += "@"
	}
	text += strings.Join(u.Sentinels, ",") + "/" + u.Name
	if query != nil {
		text += "?" + strings.Join(query, "&")
	}
	return text
}
