package registry

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	lookInterval  = 250 * time.Millisecond // between looks at our own health
	farewellLimit = 2 * time.Second        // for taking us out of the catalogue at the end
	aboutSelf     = "registration"
)

// The roles of a proxy in its region.
const (
	roleLeader   = "leader"
	roleFollower = "follower"
)

// service is one of the two that a proxy registers. Its id is the same at each start, so that a proxy that was killed finds itself again.
func (r *Registry) service(name string, at Endpoint) *api.AgentServiceRegistration {
	meta := map[string]string{
		metaRegion: r.cfg.Region, metaRegionID: strconv.Itoa(r.cfg.RegionID), metaVersion: r.cfg.Version, metaRunID: r.cfg.RunID,
	}
	for key, port := range map[string]int{metaAdmin: r.cfg.AdminPort, metaAgent: r.cfg.AgentPort} {
		if port != 0 {
			meta[key] = strconv.Itoa(port)
		}
	}
	id := name + "-" + r.cfg.Region + "-" + strconv.Itoa(at.Port)
	if at.Host != "" {
		id += "-" + at.Host
	}
	return &api.AgentServiceRegistration{
		ID: id, Name: name, Address: at.Host, Port: at.Port, Meta: meta,
		Check: &api.AgentServiceCheck{
			CheckID: checkID(id), Name: "ready", TTL: r.cfg.TTL.String(), DeregisterCriticalServiceAfter: r.cfg.ForgetAfter.String(),
		},
	}
}

func checkID(serviceID string) string { return "ready:" + serviceID }

// state is what of a proxy others see.
type state struct {
	status string // of the check
	why    string
	role   string
}

func stateOf(self Self) state {
	s := state{status: api.HealthPassing, why: "ready", role: roleFollower}
	if ready, why := self.Health(); !ready {
		s.status, s.why = api.HealthCritical, why
	}
	if self.Leading() {
		s.role = roleLeader
	}
	return s
}

// keepRegistered sees to it that Consul's agent knows the proxy and how it is, until ctx ends. An agent that was started anew may
// have forgotten us: it says so at the next sign of life, and we register again.
func (r *Registry) keepRegistered(ctx context.Context, self Self) {
	var (
		known bool  // to the agent
		told  state // to the agent
		at    time.Time
		retry = newRetry()
	)
	for ctx.Err() == nil {
		now := stateOf(self)
		var err error
		switch {
		case !known || now.role != told.role:
			err = r.register(ctx, now)
		case now != told || time.Since(at) >= r.cfg.TTL/3:
			err = r.signOfLife(ctx, now)
		default:
			pause(ctx, lookInterval)
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if forgotten(err) {
			known = false
			pause(ctx, lookInterval)
			continue
		}
		r.said.note(aboutSelf, err)
		if err != nil {
			pause(ctx, min(retry.NextBackOff(), r.cfg.TTL))
			continue
		}
		known, told, at = true, now, time.Now()
		retry.Reset()
	}
	if known {
		r.deregister(ctx)
	}
}

// register tells the agent both services. Services that are registered already are replaced.
func (r *Registry) register(ctx context.Context, now state) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	for _, service := range []*api.AgentServiceRegistration{r.public, r.peer} {
		// The tags are what the DNS of Consul selects by: REGION.NAME.service.consul.
		service.Tags = []string{r.cfg.Region, now.role}
		service.Meta[metaRole] = now.role
		service.Check.Status = now.status
		options := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
		if err := r.client.Agent().ServiceRegisterOpts(service, options); err != nil {
			return err
		}
	}
	r.cfg.Log.Info().Str("service", r.public.ID).Str("peer_service", r.peer.ID).Str("role", now.role).Str("health", now.status).Msg("registered in Consul")
	return r.signOfLife(ctx, now)
}

// signOfLife tells the agent how we are.
func (r *Registry) signOfLife(ctx context.Context, now state) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	for _, service := range []*api.AgentServiceRegistration{r.public, r.peer} {
		err := r.client.Agent().UpdateTTLOpts(service.Check.CheckID, now.why, now.status, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
	}
	return nil
}

// forgotten knows the error of an agent that has no such check.
func forgotten(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

// deregister takes us out of the catalogue. Should that fail, the check runs out, and Consul forgets us after a while.
func (r *Registry) deregister(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellLimit)
	defer cancel()
	var failed error
	for _, service := range []*api.AgentServiceRegistration{r.public, r.peer} {
		failed = errors.Join(failed, r.client.Agent().ServiceDeregisterOpts(service.ID, (&api.QueryOptions{}).WithContext(ctx)))
	}
	if failed != nil {
		r.cfg.Log.Warn().Str("cause", plain(failed)).Dur("forgotten_after", r.cfg.ForgetAfter).Msg("cannot be taken out of Consul; its check will fail")
		return
	}
	r.cfg.Log.Info().Msg("taken out of Consul")
}
