package lightgbm

import (
	"bytes"
	"math"
	"strconv"
)

// text is what has not been read yet of a file.
type text []byte

// line takes the next line off, without its end, which may be that of Windows
// (rule 4). ok is false at the end of the text.
func (t *text) line() (line []byte, ok bool) {
	if len(*t) == 0 {
		return nil, false
	}
	line, rest, _ := bytes.Cut(*t, []byte("\n"))
	*t = rest
	return bytes.TrimSuffix(line, []byte("\r")), true
}

// part is the lines of the header or of a tree. Real ones have some twenty.
type part []pair

type pair struct{ key, value []byte } // value is nil in a line without =

const maxLines = 64

func (b *part) add(line []byte) error {
	if len(*b) == maxLines {
		return wrong("more than %d lines: not a model that LightGBM saved", maxLines)
	}
	key, value, found := bytes.Cut(line, []byte("="))
	if !found {
		value = nil
	}
	if _, twice := b.find(string(key)); twice {
		return under(printable(key), wrong("appears twice"))
	}
	*b = append(*b, pair{key, value})
	return nil
}

func (b part) find(key string) (value []byte, found bool) {
	for _, p := range b {
		if string(p.key) == key {
			return p.value, true
		}
	}
	return nil, false
}

// printable is the start of a key, for a message.
func printable(key []byte) string {
	const enough = 40
	quoted := strconv.QuoteToASCII(string(key[:min(len(key), enough)]))
	return quoted[1 : len(quoted)-1]
}

// number is a line with one whole number of 0 or more.
func (b part) number(key string) (n int, err error) {
	value, found := b.find(key)
	if !found {
		return 0, under(key, wrong("is missing"))
	}
	u, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return 0, under(key, wrong("expected a whole number, found %.40q", value))
	}
	return int(u), nil
}

// list reads a line of n numbers into the memory of dst. How many there are is
// seen before any are read, so memory is never more than the line justifies.
func list[T any](b part, dst []T, key string, n int, parse func([]byte) (T, error)) ([]T, error) {
	dst = dst[:0]
	line, found := b.find(key)
	if !found {
		return dst, under(key, wrong("is missing"))
	}
	if most := (len(line) + 1) / 2; n > most {
		return dst, under(key, wrong("%d bytes: expected %d values", len(line), n))
	}
	for len(line) > 0 {
		end := bytes.IndexByte(line, ' ')
		if end < 0 {
			end = len(line)
		}
		if end > 0 {
			if len(dst) == n {
				return dst, under(key, wrong("more than %d values: expected exactly as many", n))
			}
			v, err := parse(line[:end])
			if err != nil {
				return dst, under(key, underIndex(len(dst), err))
			}
			dst = append(dst, v)
		}
		line = line[min(end+1, len(line)):]
	}
	if len(dst) != n {
		return dst, under(key, wrong("%d values: expected %d", len(dst), n))
	}
	return dst, nil
}

// Converting in the call keeps short numbers off the heap.

func parseInt(token []byte) (int32, error) {
	n, err := strconv.ParseInt(string(token), 10, 32)
	if err != nil {
		return 0, wrong("expected a 32-bit integer, found %.40q", token)
	}
	return int32(n), nil
}

func parseBits(token []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(token), 10, 32)
	if err != nil {
		return 0, wrong("expected 32 bits as an integer, found %.40q", token)
	}
	return uint32(n), nil
}

// parseFloat reads a decimal exactly, as LightGBM does for thresholds and leaves. A
// model whose training ran away holds inf and nan, and has no answers to give.
func parseFloat(token []byte) (float64, error) {
	v, err := strconv.ParseFloat(string(token), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, wrong("expected a finite number, found %.40q", token)
	}
	return v, nil
}

// parseThreshold reads a number that may be infinite: so is the threshold of a split
// that sends every number one way and missing values the other.
func parseThreshold(token []byte) (float64, error) {
	v, err := strconv.ParseFloat(string(token), 64)
	if err != nil || math.IsNaN(v) {
		return 0, wrong("expected a number, found %.40q", token)
	}
	return v, nil
}
