package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/sentinel"
	"anabranch/syncer"
)

// redisURL says where this region's Redis is, and as whom to log in.
type redisURL struct {
	full     string // with the password
	masked   string
	sentinel *sentinel.URL // not nil: Sentinels know where; full has then no host that means anything
}

// String leaves the password out: it is printed in help texts and logs.
func (u redisURL) String() string { return u.masked }

const redisURLForm = "expected redis://[user:password@]host:port or " + sentinel.URLForm

func parseRedisURL(text string) (redisURL, error) {
	if sentinel.Is(text) {
		u, err := sentinel.ParseURL(text)
		return redisURL{full: u.RedisURL(), masked: u.String(), sentinel: &u}, err
	}
	parsed, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the text, and the text may hold a password.
		return redisURL{}, errors.New("is no URL; " + redisURLForm)
	}
	switch parsed.Scheme {
	case "redis", "rediss":
	default:
		return redisURL{}, fmt.Errorf("scheme %q is not known; %s", parsed.Scheme, redisURLForm)
	}
	if strings.Trim(parsed.Path, "/") != "" {
		return redisURL{}, errors.New("must not name a database: clients choose theirs with SELECT")
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return redisURL{}, errors.New("must not have parameters")
	}
	if parsed.Port() == "" {
		parsed.Host = net.JoinHostPort(parsed.Hostname(), "6379")
	}
	if _, err := parseAddr(parsed.Host); err != nil {
		return redisURL{}, err
	}
	full := parsed.String()
	if _, set := parsed.User.Password(); set {
		parsed.User = url.UserPassword(parsed.User.Username(), "***")
	}
	return redisURL{full: full, masked: strings.ReplaceAll(parsed.String(), "%2A%2A%2A", "***")}, nil
}

// parseShadowOf checks the name and id of a region.
func parseShadowOf(text string) (string, error) {
	name, id, found := strings.Cut(text, "=")
	if !found {
		return "", fmt.Errorf("%q: expected NAME=ID, the --region and --region-id of that region", text)
	}
	if _, err := parseRegion(name); err != nil {
		return "", err
	}
	_, err := intBetween(1, 63)(id)
	return text, err
}

// peerAddr is one proxy of another region.
type peerAddr struct {
	Region string
	Addr   string
}

func (p peerAddr) String() string { return p.Region + "=" + p.Addr }

func parsePeer(text string) (peerAddr, error) {
	name, addr, ok := strings.Cut(text, "=")
	if !ok {
		return peerAddr{}, fmt.Errorf("%q: expected REGION=HOST:PORT", text)
	}
	region, err := parseRegion(strings.TrimSpace(name))
	if err != nil {
		return peerAddr{}, err
	}
	addr, err = parseAddr(strings.TrimSpace(addr))
	return peerAddr{Region: region, Addr: addr}, err
}

var regionPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}$`)

// parseRegion refuses what CRDT PAUSE could take for an id or for all regions.
func parseRegion(text string) (string, error) {
	if !regionPattern.MatchString(text) {
		return "", fmt.Errorf("%q: a region's name is a letter, and then up to 31 letters, digits, - and _", text)
	}
	if strings.EqualFold(text, "all") {
		return "", fmt.Errorf("%q: means all regions in CRDT PAUSE; choose another name", text)
	}
	return text, nil
}

// parseAddr is for addresses to connect to.
func parseAddr(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", fmt.Errorf("%q: expected HOST:PORT", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q: the port must be a number from 1 to 65535", text)
	}
	return text, nil
}

// parseListen is for addresses to listen on: no host means every interface, port 0 any free port.
func parseListen(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q: expected HOST:PORT", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", fmt.Errorf("%q: the port must be a number from 0 to 65535", text)
	}
	return text, nil
}

// parsePrefix keeps to names that need no quoting in the engine and do not change a key's hash slot.
func parsePrefix(text string) (string, error) {
	if text == "" || strings.ContainsAny(text, "{}\"\\\r\n\x00 ") {
		return "", fmt.Errorf("%q: must not be empty, and must not contain braces, quotes, backslashes, spaces or control characters", text)
	}
	return text, nil
}

// emptyOr returns a parser that also takes nothing.
func emptyOr(parse func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		return parse(text)
	}
}

// word is a name in a list.
type word string

func (w word) String() string { return string(w) }

func parseWord(text string) (word, error) {
	if text == "" || strings.ContainsAny(text, " \t\r\n/?#") {
		return "", fmt.Errorf("%q: expected a name", text)
	}
	return word(text), nil
}

func wordsOf(list []word) (texts []string) {
	for _, w := range list {
		texts = append(texts, string(w))
	}
	return texts
}

// intBetween returns a parser for numbers from low to high.
func intBetween(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q: expected a number from %d to %d", text, low, high)
		}
		return n, nil
	}
}

// oneOf returns a parser for a closed set of words.
func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("%q: expected one of %s", text, strings.Join(words, ", "))
		}
		return text, nil
	}
}

func parseBool(text string) (bool, error) {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%q: expected true or false", text)
	}
	return value, nil
}

// durationFrom returns a parser for times such as 250us or 1m30s, not below the lowest.
func durationFrom(lowest time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		value, err := time.ParseDuration(text)
		if err != nil || value < lowest {
			return 0, fmt.Errorf("%q: expected a time of at least %v, such as 1m30s", text, lowest)
		}
		return value, nil
	}
}

// byteUnits are redis.conf's: kb is 1024 bytes, k is 1000.
var byteUnits = []struct {
	suffix string
	factor int64
}{{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"g", 1e9}, {"m", 1e6}, {"k", 1e3}, {"b", 1}}

// bytesFrom returns a parser for sizes such as 64mb, not below the lowest.
func bytesFrom(lowest int64) func(string) (int64, error) {
	return func(text string) (int64, error) {
		number, factor := strings.ToLower(text), int64(1)
		for _, unit := range byteUnits {
			if rest, ok := strings.CutSuffix(number, unit.suffix); ok {
				number, factor = rest, unit.factor
				break
			}
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n > 1<<53/factor || n*factor < lowest {
			return 0, fmt.Errorf("%q: expected a size of at least %s, such as 64mb", text, showBytes(lowest))
		}
		return n * factor, nil
	}
}

// showBytes is the inverse of bytesFrom, in the largest unit of 1024 that divides it.
func showBytes(n int64) string {
	for _, unit := range byteUnits[:3] {
		if n > 0 && n%unit.factor == 0 {
			return strconv.FormatInt(n/unit.factor, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// memoryShare reads a size, a percentage of Redis's memory, or none. 0 is refused: it could mean both nothing and everything.
func memoryShare(text string) (share syncer.MemoryShare, err error) {
	percent, isPercent := strings.CutSuffix(text, "%")
	switch {
	case text == "none":
		share.All = true
	case isPercent:
		share.Percent, err = intBetween(1, 100)(percent)
	default:
		share.Bytes, err = bytesFrom(1 << 20)(text)
	}
	if err != nil {
		err = fmt.Errorf("%q: expected a size of at least 1mb, such as 512mb, a percentage from 1%% to 100%%, or none", text)
	}
	return share, err
}

func showMemoryShare(share syncer.MemoryShare) string {
	switch {
	case share.All:
		return "none"
	case share.Percent > 0:
		return strconv.Itoa(share.Percent) + "%"
	}
	return showBytes(share.Bytes)
}
