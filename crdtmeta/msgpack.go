package crdtmeta

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var errFormat = errors.New("unexpected msgpack")

// decoder reads the msgpack that the engine writes. Counts come from a peer, so nothing is allocated for a count that
// the remaining bytes cannot hold, and nothing is read recursively without a limit.
type decoder struct {
	rest *bytes.Reader
	dec  *msgpack.Decoder
}

func newDecoder(body []byte) *decoder {
	rest := bytes.NewReader(body)
	return &decoder{rest: rest, dec: msgpack.NewDecoder(rest)}
}

// container reads the head of an array or map. A count larger than the bytes that are left is refused: every element
// takes at least one.
func (d *decoder) container() (n int, isMap bool, err error) {
	code, err := d.dec.PeekCode()
	if err != nil {
		return 0, false, err
	}
	perElement := 1
	if msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32 {
		isMap, perElement = true, 2
		n, err = d.dec.DecodeMapLen()
	} else {
		n, err = d.dec.DecodeArrayLen()
	}
	if err != nil {
		return 0, false, err
	}
	if n < 0 || n > d.rest.Len()/perElement {
		return 0, false, fmt.Errorf("%w: %d elements in %d bytes", errFormat, n, d.rest.Len())
	}
	return n, isMap, nil
}

// text reads a string or binary. Lua has one type for both.
func (d *decoder) text() (string, error) {
	code, err := d.dec.PeekCode()
	if err != nil {
		return "", err
	}
	if !msgpcode.IsString(code) && !msgpcode.IsBin(code) {
		return "", fmt.Errorf("%w: code %#x for a string", errFormat, code)
	}
	n, err := d.dec.DecodeBytesLen()
	if err != nil {
		return "", err
	}
	if n < 0 || n > d.rest.Len() {
		return "", fmt.Errorf("%w: string of %d bytes in %d", errFormat, n, d.rest.Len())
	}
	buf := make([]byte, n)
	if err := d.dec.ReadFull(buf); err != nil {
		return "", err
	}
	return string(buf), nil
}

// integer takes what Lua makes of an integer: an integer, a whole double, or digits in a string.
func (d *decoder) integer() (int64, error) {
	code, err := d.dec.PeekCode()
	if err != nil {
		return 0, err
	}
	switch {
	case code == msgpcode.Double || code == msgpcode.Float:
		x, err := d.dec.DecodeFloat64()
		if err != nil {
			return 0, err
		}
		if x != math.Trunc(x) || math.Abs(x) > maxTime {
			return 0, fmt.Errorf("%w: %v is no exact integer", errFormat, x)
		}
		return int64(x), nil
	case msgpcode.IsString(code) || msgpcode.IsBin(code):
		digits, err := d.text()
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %.40q is no integer", errFormat, digits)
		}
		return n, nil
	case msgpcode.IsFixedNum(code), code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		return d.dec.DecodeInt64()
	default:
		return 0, fmt.Errorf("%w: code %#x for an integer", errFormat, code)
	}
}

func (d *decoder) time() (Time, error) {
	n, err := d.integer()
	if err != nil {
		return 0, err
	}
	if n < 0 || n > maxTime {
		return 0, fmt.Errorf("%w: %d", errTime, n)
	}
	return Time(n), nil
}

// count takes a number of effects, which has the range of a time.
func (d *decoder) count() (int64, error) {
	n, err := d.time()
	return int64(n), err
}

// end fails when something follows.
func (d *decoder) end() error {
	if d.rest.Len() != 0 {
		return fmt.Errorf("%w: %d bytes too many", errFormat, d.rest.Len())
	}
	return nil
}
