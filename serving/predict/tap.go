package predict

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

// sample is one answered request as monitoring sees it.
type sample struct {
	deployment, version string
	at                  time.Time
	rows                int
	values              []float64    // of the request, row after row; NaN: missing
	predictions         []float64    // of the answer, row after row
	named               namedTensors // in their place, of a model of named tensors
	size                int64        // of all of them, in values of 8 bytes
}

// namedTensors are those of one answered request, in the order of the names. They
// were made for it alone and nobody changes them, so that they need not be copied.
type namedTensors struct {
	rows                    int
	inputNames, outputNames []string
	inputs, outputs         []*onnx.Tensor
}

// size is about how many values of 8 bytes they are.
func (n *namedTensors) size() (size int64) {
	for _, list := range [...][]*onnx.Tensor{n.inputs, n.outputs} {
		for _, t := range list {
			size += int64(t.Len())
			if t.Type() != onnx.String {
				continue
			}
			for _, text := range onnx.Values[string](t) {
				size += int64(len(text)+15) / 8
			}
		}
	}
	return size
}

// tap hands answered requests to monitoring by a queue that never holds up a
// prediction: what finds it full is dropped and counted.
type tap struct {
	queue   chan *sample
	held    atomic.Int64 // values in the queue
	most    int64        // of them
	spare   sync.Pool    // of *sample
	dropped func()
}

// How much the queue holds: requests, and values of all of them together (32 MiB).
const (
	tapRequests = 1024
	tapValues   = 4 << 20
)

func newTap(requests int, values int64, dropped func()) *tap {
	return &tap{queue: make(chan *sample, requests), most: values, dropped: dropped}
}

// offer puts an answered request into the queue, if there is room: rows are
// copied, named tensors are handed over.
func (t *tap) offer(e *exchange, values, predictions []float64, named *namedTensors) {
	if len(t.queue) == cap(t.queue) {
		t.dropped()
		return
	}
	size := int64(len(values)+len(predictions)) + named.size()
	if t.held.Add(size) > t.most {
		t.held.Add(-size)
		t.dropped()
		return
	}
	s, _ := t.spare.Get().(*sample)
	if s == nil {
		s = &sample{}
	}
	s.deployment, s.version, s.at, s.rows = e.deployment, e.version, e.begin, e.rows
	s.values = append(s.values[:0], values...)
	s.predictions = append(s.predictions[:0], predictions...)
	s.named, s.size = *named, size
	select {
	case t.queue <- s:
	default: // others were faster
		t.held.Add(-size)
		t.keep(s)
		t.dropped()
	}
}

// run gives each sample to monitoring, which must not keep it, until ctx ends and
// the queue is empty.
func (t *tap) run(ctx context.Context, each func(*sample)) {
	for {
		select {
		case s := <-t.queue:
			t.pass(s, each)
		case <-ctx.Done():
			for {
				select {
				case s := <-t.queue:
					t.pass(s, each)
				default:
					return
				}
			}
		}
	}
}

func (t *tap) pass(s *sample, each func(*sample)) {
	each(s)
	t.held.Add(-s.size)
	t.keep(s)
}

// keep is for a sample that nobody needs any more.
func (t *tap) keep(s *sample) {
	s.named = namedTensors{}
	if cap(s.values)+cap(s.predictions) <= keepScratch/64 {
		t.spare.Put(s)
	}
}
