package syncer

import "time"

// refused is why a peer got nothing.
type refused struct {
	text string
	at   time.Time // when that was logged
}

const (
	maxRefused   = 256              // of a map whose keys strangers choose
	refusedAgain = 10 * time.Minute // until a stranger's cause is logged once more
)

// noteRefusal logs why a peer gets nothing, once per change. Nil says that it gets something.
func (s *Syncer) noteRefusal(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.refused, name)
		return
	}
	if text := plain(err); s.refused[name].text != text {
		s.logRefusal(name, name, text)
	}
}

// noteStranger does so for one of whom nothing is known but where it calls from. Several can be there, so each cause is logged
// once in some time, and not at all when there are too many.
func (s *Syncer) noteStranger(from string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) >= maxRefused {
		for key, entry := range s.refused {
			if time.Since(entry.at) >= refusedAgain {
				delete(s.refused, key)
			}
		}
	}
	text := plain(err)
	key := from + " " + text
	entry, said := s.refused[key]
	if said && time.Since(entry.at) < refusedAgain || !said && len(s.refused) >= maxRefused {
		return
	}
	s.logRefusal(key, from, text)
}

func (s *Syncer) logRefusal(key, name, text string) {
	s.refused[key] = refused{text, time.Now()}
	s.cfg.Log.Warn().Str("peer", name).Str("cause", text).Msg("peer refused")
}
