package scenario

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// messageLimit is how long a published message may travel.
const messageLimit = 5 * time.Second

// player plays one scenario on a cluster. Its methods return what went wrong instead of failing the test, because a
// scenario that is listed for later is expected to go wrong.
type player struct {
	t       *testing.T
	cluster *redistest.Cluster
	regions []string // the ones that take part
	conns   map[string]*redistest.Conn
}

func play(t *testing.T, cluster *redistest.Cluster, s scenario) error {
	t.Helper()
	p := &player{t: t, cluster: cluster, conns: map[string]*redistest.Conn{}}
	defer p.close()
	for _, region := range cluster.Regions[:s.Regions] {
		p.regions = append(p.regions, region.Name)
	}
	for i, step := range s.Steps {
		if err := p.step(step); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step, err)
		}
	}
	for _, expected := range s.Expect {
		if err := p.expect(expected, s.Expect); err != nil {
			return fmt.Errorf("expected %s: %w", expected, err)
		}
	}
	return nil
}

func (p *player) step(s step) error {
	switch {
	case s.Sync:
		return p.cluster.TrySync()
	case s.Heal:
		p.cluster.Heal()
	case s.Partition != nil:
		p.cluster.Partition(s.Partition[0], s.Partition[1])
	case s.Subscribe != nil:
		return p.subscribe(s)
	case s.Cmd != nil:
		return p.expect(s, nil)
	default:
		time.Sleep(time.Duration(s.SleepMS) * time.Millisecond)
	}
	return nil
}

// expect runs the command of a step and checks its reply; all holds the other expectations, for the ones that only have
// to agree with each other.
func (p *player) expect(s step, all []step) error {
	if s.Messages != nil {
		return p.messages(s)
	}
	got, err := p.conn(s.At, s.Conn).Try(s.Cmd...)
	if err != nil {
		return err
	}
	if err := s.verify(got); err != nil {
		return err
	}
	others := []string(nil)
	if s.Everywhere {
		others = p.regions
	} else if s.empty() {
		for _, other := range all {
			if slices.Equal(other.Cmd, s.Cmd) {
				others = append(others, other.At)
			}
		}
	}
	for _, at := range others {
		other, err := p.conn(at, s.Conn).Try(s.Cmd...)
		if err != nil {
			return err
		}
		if other.Raw != got.Raw {
			return fmt.Errorf("%s answers %s, but %s answers %s", s.At, got, at, other)
		}
	}
	return nil
}

// conn is the connection with that number in that region; connections live as long as the scenario.
func (p *player) conn(at string, number int) *redistest.Conn {
	p.t.Helper()
	return p.dialOnce(fmt.Sprintf("%s/%d", at, max(number, 1)), at)
}

func (p *player) dialOnce(name, at string) *redistest.Conn {
	p.t.Helper()
	if p.conns[name] == nil {
		p.conns[name] = p.cluster.Region(at).Dial()
	}
	return p.conns[name]
}

func (p *player) subscribe(s step) error {
	p.t.Helper()
	c := p.dialOnce(s.At+"/subscriber", s.At)
	if err := c.Send(append([]string{"SUBSCRIBE"}, s.Subscribe...)...); err != nil {
		return err
	}
	for _, channel := range s.Subscribe {
		got, err := c.Receive()
		if err != nil {
			return err
		}
		if texts := got.Strings(); len(texts) != 3 || texts[0] != "subscribe" || texts[1] != channel {
			return fmt.Errorf("got %s", got)
		}
	}
	return nil
}

func (p *player) messages(s step) error {
	p.t.Helper()
	c := p.dialOnce(s.At+"/subscriber", s.At)
	for _, want := range s.Messages {
		got, err := c.ReceiveWithin(messageLimit)
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", want, err)
		}
		if !slices.Equal(got.Strings(), []string{"message", want[0], want[1]}) {
			return fmt.Errorf("got %s, want %q", got, want)
		}
	}
	return nil
}

func (p *player) close() {
	for _, c := range p.conns {
		c.Close()
	}
}
