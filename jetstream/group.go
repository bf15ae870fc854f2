package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// committer stores guarded messages in one stream: alone while few of them wait,
// in atomic batches when many do. A batch costs the broker about one fsync for
// all its members, each of which keeps its own guard (jetstream.md section 10).
// A message that nothing is ahead of is never held back.
type committer struct {
	js     natsjs.JetStream
	stream string

	mu       sync.Mutex
	queue    []*waiting
	single   bool // the stream takes no batches
	alone    int  // messages on their way that are in no group
	grouping bool // a group is on its way
	groups   int  // so far
	cost     cost
}

func newCommitter(js natsjs.JetStream, stream string) *committer {
	return &committer{js: js, stream: stream}
}

// guarded is a message that is stored if the newest one that its fence matches
// still has the sequence last; 0: if there is none.
type guarded struct {
	subject string
	header  map[string][]string
	body    []byte
	fence   string
	last    uint64
}

// verdict is what became of a message. kept is false when the guard refused it.
// Any err is an unknown outcome, but for errTooLarge.
type verdict struct {
	sequence uint64
	kept     bool
	err      error
}

// waiting is a message in the queue. It is told once what became of it, or,
// with a nil, to go alone.
type waiting struct {
	message guarded
	told    chan *verdict
	beside  int // when told to go alone: so many are on their way then, itself included; 0: a group is, too
}

const (
	maxGroup      = 512     // messages
	maxGroupBytes = 4 << 20 // of bodies
	headerRoom    = 1 << 10 // bytes of the headers of a message, at most
	probing       = 64      // of so many groups, one waits for a message that goes alone
	maxAlone      = 4       // messages on their way, where groups are clearly worth it: the broker stores one after the other anyway
	clearly       = 32      // messages, from which on they are then
)

// commit stores m, on its own or with others.
func (c *committer) commit(ctx context.Context, m guarded) verdict {
	if err := ctx.Err(); err != nil {
		return verdict{err: err}
	}
	if int64(len(m.body)+headerRoom) > c.js.Conn().MaxPayload() {
		return c.publish(ctx, m) // it would be refused, and a group with it
	}
	place, beside := c.enter(m)
	if place != nil {
		select {
		case told := <-place.told:
			if told != nil {
				return *told
			}
		case <-ctx.Done():
			if c.leave(place) {
				return verdict{err: ctx.Err()}
			}
			if told := <-place.told; told != nil {
				return *told
			}
		}
		beside = place.beside
	}
	began := time.Now()
	result := c.publish(ctx, m)
	c.wentAlone(time.Since(began), beside, result.kept) //nolint:contextcheck // the group that may go next belongs to none of its members
	return result
}

// enter is the place of m in the queue; nil: it goes alone, at once, beside so
// many on their way, itself included.
func (c *committer) enter(m guarded) (place *waiting, beside int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.grouping && len(c.queue) == 0 && c.alone < c.most(c.cost.worth()) {
		c.alone++
		return nil, c.alone
	}
	place = &waiting{message: m, told: make(chan *verdict, 1)}
	c.queue = append(c.queue, place)
	return place, 0
}

// leave takes a message out of the queue, if it is still there.
func (c *committer) leave(place *waiting) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, place)
	if i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
	return i >= 0
}

// wentAlone notes that a message is stored, or not, and lets others go. How long
// it took says something if it went beside other lone messages and no group.
func (c *committer) wentAlone(took time.Duration, beside int, well bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if well && beside > 0 && !c.grouping {
		c.cost.alone(took / time.Duration(beside))
	}
	c.alone--
	c.dispatch()
}

// dispatch lets messages of the queue go: together, if as many wait as could go
// alone in the time that a group takes.
func (c *committer) dispatch() {
	if c.grouping {
		return
	}
	worth := c.cost.worth()
	if len(c.queue) >= worth && !c.single {
		if c.groups++; c.groups%probing == 0 { // is one alone still as dear? The group goes once that is stored
			c.letGo()
			return
		}
		c.grouping = true
		go c.sendGroup(c.cut())
		return
	}
	for len(c.queue) > 0 && c.alone < c.most(worth) {
		c.letGo()
	}
}

// most is how many messages may be on their way alone, if a group is worth it
// from so many on. More would keep the queue from ever being as long.
func (c *committer) most(worth int) int {
	if worth <= clearly && !c.single {
		return maxAlone
	}
	return worth
}

// letGo has the first of the queue go alone.
func (c *committer) letGo() {
	c.alone++
	c.queue[0].beside = c.alone
	c.queue[0].told <- nil
	c.queue = slices.Delete(c.queue, 0, 1)
}

// cut takes the next group out of the queue.
func (c *committer) cut() []*waiting {
	n, size := 0, 0
	for n < min(len(c.queue), maxGroup) && (n == 0 || size+len(c.queue[n].message.body) <= maxGroupBytes) {
		size += len(c.queue[n].message.body)
		n++
	}
	group := slices.Clone(c.queue[:n])
	c.queue = slices.Delete(c.queue, 0, n)
	return group
}

// sendGroup stores a group and tells its members. Of one that is refused, each
// member goes alone: only those whose own guard refuses them are refused then.
func (c *committer) sendGroup(group []*waiting) {
	began := time.Now()
	last, refused, err := c.publishGroup(group)
	took := time.Since(began)
	if refused { // counted before they are told: they count themselves out again
		c.mu.Lock()
		c.alone += len(group)
		c.mu.Unlock()
	}
	for i, place := range group {
		switch {
		case refused:
			place.told <- nil
		case err != nil:
			place.told <- &verdict{err: err}
		default:
			place.told <- &verdict{sequence: last - uint64(len(group)-1-i), kept: true} //nolint:gosec // never negative
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grouping = false
	if err == nil {
		c.cost.group(took, len(group))
	}
	c.dispatch()
}

// publishGroup stores the members of a group in one atomic batch, in order and
// without another message between them. It returns the sequence of the last one.
func (c *committer) publishGroup(group []*waiting) (last uint64, refused bool, err error) {
	id, conn := rand.Text(), c.js.Conn()
	for i, place := range group {
		msg := place.message.msg(c.stream)
		msg.Header["Nats-Batch-Id"] = []string{id}
		msg.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		if i < len(group)-1 {
			if err := conn.PublishMsg(msg); err != nil {
				return 0, errors.Is(err, nats.ErrMaxPayload), err
			}
			continue
		}
		msg.Header["Nats-Batch-Commit"] = []string{"1"}
		ctx, cancel := bounded(context.Background())
		defer cancel()
		ack, err := c.js.PublishMsg(ctx, msg)
		var apiError *natsjs.APIError
		if err != nil {
			if errors.As(err, &apiError) && apiError.ErrorCode == errNoBatches {
				c.neverGroup()
			}
			return 0, errors.As(err, &apiError) || errors.Is(err, nats.ErrMaxPayload), err
		}
		last = ack.Sequence
	}
	return last, false, nil
}

// errNoBatches is the broker's error code for a stream that takes no atomic
// batches: one that an older version has provisioned.
const errNoBatches = 10174

func (c *committer) neverGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.single = true
}

// publish stores one message.
func (c *committer) publish(ctx context.Context, m guarded) verdict {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, m.msg(c.stream))
	switch {
	case isConflict(err):
		return verdict{}
	case errors.Is(err, nats.ErrMaxPayload):
		return verdict{err: fmt.Errorf("%d bytes: %w", len(m.body), ErrTooLarge)}
	case err != nil:
		return verdict{err: err}
	}
	return verdict{sequence: ack.Sequence, kept: true}
}

// msg is the message as it is sent.
func (m guarded) msg(stream string) *nats.Msg {
	header := make(nats.Header, len(m.header)+6)
	for name, values := range m.header {
		header[name] = values
	}
	header[natsjs.ExpectedStreamHeader] = []string{stream}
	header[natsjs.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(m.last, 10)}
	header[natsjs.ExpectedLastSubjSeqSubjHeader] = []string{m.fence}
	return &nats.Msg{Subject: m.subject, Header: header, Data: m.body}
}
