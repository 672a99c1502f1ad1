package credentials

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// maxFileBytes bounds what is read: a wrong path must not fill the memory.
const maxFileBytes = 1 << 20

// source is a value that is made of files.
type source[T any] struct {
	name  string   // for the log
	paths []string // in the order in which parse takes their contents
	parse func(contents [][]byte) (T, error)
	note  func(T, *zerolog.Event) // adds to the log what was loaded

	current atomic.Pointer[T]

	mu   sync.Mutex        // guards what follows
	sum  [sha256.Size]byte // of the contents that were tried last
	said string            // the last error, logged once
}

// load is the first reading; without it there is no value.
func (s *source[T]) load() error {
	contents, sum, err := s.read()
	if err != nil {
		return err
	}
	value, err := s.parse(contents)
	if err != nil {
		return err
	}
	s.sum = sum
	s.current.Store(&value)
	return nil
}

func (s *source[T]) value() T { return *s.current.Load() }

// reload takes what the files hold now, if it is something else and right.
func (s *source[T]) reload(log zerolog.Logger) {
	if len(s.paths) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	contents, sum, err := s.read()
	var value T
	if err == nil {
		if sum == s.sum {
			s.said = ""
			return
		}
		value, err = s.parse(contents)
	}
	if err != nil {
		// Files are often written one after the other: until all are there, they do not fit together.
		if err.Error() != s.said {
			log.Error().Err(err).Str("of", s.name).Strs("files", s.paths).Msg("changed files cannot be used; what was read before stays in use")
		}
		s.said = err.Error()
		return
	}
	s.sum, s.said = sum, ""
	s.current.Store(&value)
	event := log.Info().Str("of", s.name).Strs("files", s.paths)
	s.note(value, event)
	event.Msg("changed files are in use for new connections")
}

// read reads all files. What they hold is compared, since times of modification lie: a file may be copied with its own, and
// several changes may fall into one tick.
func (s *source[T]) read() (contents [][]byte, sum [sha256.Size]byte, err error) {
	all := sha256.New()
	for _, path := range s.paths {
		content, err := readFile(path)
		if err != nil {
			return nil, sum, err
		}
		fmt.Fprintf(all, "%d ", len(content))
		all.Write(content)
		contents = append(contents, content)
	}
	return contents, [sha256.Size]byte(all.Sum(nil)), nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxFileBytes)
	}
	return content, err
}

var errEmpty = errors.New("holds nothing of use")
