package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"
)

// Access says where Consul is, and as whom it is asked.
type Access struct {
	// Address of an agent: http://HOST:PORT or https://HOST:PORT. To register it must be the agent of the proxy's own machine,
	// since an agent holds what is registered with it.
	Address string
	// Token is the ACL token; empty for none.
	Token string
	// CAFile has the certificates (PEM) that sign Consul's; empty: the system's.
	CAFile string
	// CertFile and KeyFile (PEM) are for an agent that verifies its clients; both or none.
	CertFile, KeyFile string
}

// requestLimit bounds a request that does not block.
const requestLimit = 5 * time.Second

// ParseAddress checks the address of an agent.
func ParseAddress(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" ||
		parsed.Path != "" && parsed.Path != "/" || parsed.RawQuery != "" || parsed.User != nil {
		return "", fmt.Errorf("%q: expected http://HOST:PORT or https://HOST:PORT", text)
	}
	if parsed.Port() == "" {
		port := map[string]string{"http": "8500", "https": "8501"}[parsed.Scheme]
		return parsed.Scheme + "://" + parsed.Host + ":" + port, nil
	}
	return parsed.Scheme + "://" + parsed.Host, nil
}

// client opens no connection. What is empty here, the client library takes from Consul's own variables, such as CONSUL_HTTP_TOKEN.
func (a Access) client() (*api.Client, *http.Transport, error) {
	config := api.DefaultConfig()
	config.Address = a.Address
	if a.Token != "" {
		config.Token, config.TokenFile = a.Token, ""
	}
	config.TLSConfig.CAFile, config.TLSConfig.CertFile, config.TLSConfig.KeyFile = a.CAFile, a.CertFile, a.KeyFile
	client, err := api.NewClient(config)
	if err != nil {
		return nil, nil, err
	}
	return client, config.Transport, nil
}

// plain is an error of Consul for people.
func plain(err error) string {
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusForbidden:
		return "Consul refuses it, look at the ACL token and its policy: " + status.Body
	case errors.As(err, &status):
		return fmt.Sprintf("Consul answers %d: %s", status.Code, status.Body)
	case errors.Is(err, context.DeadlineExceeded):
		return "Consul does not answer"
	}
	return err.Error()
}
