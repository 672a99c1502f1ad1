package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/tidwall/resp"

	"anabranch/internal/credentials"
	"anabranch/sentinel"
)

// redisClient is one plain connection for the demo, status and conflicts. It shows exactly what was answered: it does not
// retry, reconnect or interpret.
type redisClient struct {
	conn   net.Conn
	reader *resp.Reader
}

func dialRedis(ctx context.Context, addr string) (*redisClient, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &redisClient{conn: conn, reader: resp.NewReader(conn)}, nil
}

// clientPort is how a subcommand reaches client ports: by an address for each, and the same TLS for all of them.
type clientPort struct {
	files  credentials.Files
	server string
}

// addTLSOptions declares the flags that belong to addresses with rediss://.
func (p *clientPort) addTLSOptions(flags *pflag.FlagSet) {
	flags.StringVar(&p.files.CA, "tls-ca-file", "", "with rediss://: authorities (PEM) of the proxy's certificate; without it, those of the system")
	flags.StringVar(&p.files.Cert, "tls-cert-file", "", "with rediss://: certificate (PEM) to show the proxy")
	flags.StringVar(&p.files.Key, "tls-key-file", "", "with rediss://: private key (PEM) of that certificate")
	flags.StringVar(&p.server, "tls-server-name", "", "with rediss://: name in the proxy's certificate; without it, the host that is connected to")
}

// check finds mistakes before anything is dialled.
func (p *clientPort) check(addrs ...string) error {
	secure := slices.ContainsFunc(addrs, isSecure)
	if !secure && (!p.files.None() || p.server != "") {
		return &usageError{errors.New("--tls-…: are of no use unless the address begins with rediss://")}
	}
	if _, err := p.config(""); err != nil {
		return &usageError{fmt.Errorf("--tls-…-file: %w", err)}
	}
	return nil
}

func isSecure(addr string) bool { return strings.HasPrefix(addr, "rediss://") }

// config is the TLS of one connection.
func (p *clientPort) config(host string) (*tls.Config, error) {
	identity, err := credentials.NewIdentity("", p.files)
	if err != nil {
		return nil, err
	}
	return identity.Client(cmp.Or(p.server, host)), nil
}

// dial connects to a client port and logs in, if the address says as whom.
func (p *clientPort) dial(ctx context.Context, text string) (*redisClient, error) {
	if sentinel.Is(text) {
		return nil, &usageError{errors.New("--redis: expected the client port of a proxy, which does not move; Sentinels know where Redis is")}
	}
	addr, login := text, []string(nil)
	var secure *tls.Config
	if parsed, err := url.Parse(text); err == nil && parsed.Host != "" {
		addr = parsed.Host
		if isSecure(text) {
			if secure, err = p.config(parsed.Hostname()); err != nil {
				return nil, err
			}
		}
		if password, set := parsed.User.Password(); set {
			login = []string{"AUTH", password}
			if parsed.User.Username() != "" {
				login = []string{"AUTH", parsed.User.Username(), password}
			}
		}
	}
	client, err := dialRedis(ctx, addr)
	if err == nil && secure != nil {
		err = client.shield(ctx, secure)
	}
	if err != nil || login == nil {
		return client, err
	}
	reply, err := client.do(ctx, statusLimit, login...)
	if err == nil && reply.Type() == resp.Error {
		err = errors.New(reply.String())
	}
	if err != nil {
		client.close()
		return nil, err
	}
	return client, nil
}

// shield puts the connection under TLS, or closes it.
func (c *redisClient) shield(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	secure := tls.Client(c.conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.conn.Close()
		return fmt.Errorf("%s: TLS: %w", c.conn.RemoteAddr(), err)
	}
	c.conn, c.reader = secure, resp.NewReader(secure)
	return nil
}

func (c *redisClient) close() { c.conn.Close() }

// do sends a command and reads its reply, which may be an error reply; an error means that the connection is broken.
func (c *redisClient) do(ctx context.Context, limit time.Duration, args ...string) (resp.Value, error) {
	// A cancelled context must not wait for the reply.
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })()
	if err := c.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return resp.Value{}, err
	}
	values := make([]resp.Value, len(args))
	for i, arg := range args {
		values[i] = resp.StringValue(arg)
	}
	wire, err := resp.ArrayValue(values).MarshalRESP()
	if err != nil {
		return resp.Value{}, err
	}
	if _, err := c.conn.Write(wire); err != nil {
		return resp.Value{}, err
	}
	reply, _, err := c.reader.ReadValue()
	if err != nil {
		return resp.Value{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return reply, nil
}

// rowsOf reads a list of rows, each a flat list of names and values.
func rowsOf(reply resp.Value) []map[string]string {
	var rows []map[string]string
	for _, row := range reply.Array() {
		fields, named := row.Array(), map[string]string{}
		for i := 0; i+1 < len(fields); i += 2 {
			named[fields[i].String()] = fields[i+1].String()
		}
		rows = append(rows, named)
	}
	return rows
}

// number reads a value of a row; 0 for what is no number.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// show prints a reply on one line, in the manner of redis-cli.
func show(reply resp.Value) string {
	switch {
	case reply.IsNull():
		return "(nil)"
	case reply.Type() == resp.Integer:
		return "(integer) " + strconv.Itoa(reply.Integer())
	case reply.Type() == resp.Error:
		return "(error) " + reply.String()
	case reply.Type() == resp.BulkString:
		return strconv.Quote(reply.String())
	case reply.Type() == resp.Array:
		return "[" + strings.Join(showEach(reply), " ") + "]"
	}
	return reply.String()
}

// showSorted is show for replies without an order.
func showSorted(reply resp.Value) string {
	if reply.Type() != resp.Array {
		return show(reply)
	}
	words := showEach(reply)
	slices.Sort(words)
	return "[" + strings.Join(words, " ") + "]"
}

func showEach(reply resp.Value) []string {
	words := make([]string, 0, len(reply.Array()))
	for _, item := range reply.Array() {
		words = append(words, show(item))
	}
	return words
}
