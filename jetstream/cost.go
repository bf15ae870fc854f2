package jetstream

import (
	"cmp"
	"time"
)

// cost is what it takes the broker to store one message alone, and a group, at
// least. More than the least is the load of the machine, which both have to bear.
type cost struct {
	one    time.Duration
	fixed  time.Duration // of a group, beside what each of its members takes
	each   time.Duration // of a message in a large group, all in all; 0: not known
	groups int           // large ones since each was not known
	seen   int           // messages alone
	after  int           // those of them since the last large group
}

// alone notes how long one message took, divided by how many were on their way:
// the broker stores one after the other. What is kept is what few stay below,
// one in thirty, so that neither a single lucky one nor a busy machine decides.
func (c *cost) alone(took time.Duration) {
	c.seen++
	if c.after++; c.after >= forget {
		c.each, c.groups = 0, 0
	}
	switch {
	case c.one == 0:
		c.one = took
	case took < c.one:
		c.one -= c.one * 9 / 50
	default:
		c.one += c.one/160 + 1
	}
}

// member is what a message more takes in a group (jetstream.md section 10).
const member = 40 * time.Microsecond

// group notes how long a group of so many messages took.
func (c *cost) group(took time.Duration, messages int) {
	if messages >= large {
		if each := took / time.Duration(messages); c.each == 0 || each < c.each {
			c.each = each
		}
		c.groups++
		c.after = 0
	}
	took = max(took-time.Duration(messages)*member, time.Microsecond)
	if c.fixed == 0 || took < c.fixed {
		c.fixed = took
	}
}

const (
	large  = 32   // messages of a group that tells what each of them takes
	enough = 2    // large groups that tell whether they are faster than messages alone
	forget = 4096 // messages alone after which that is to be found out again
)

// slower reports whether groups were seen to be no faster than messages alone, on
// a machine as busy as it is: where that takes four times as long as it should, a
// broker that does not wait for its disk looks like one that does.
func (c *cost) slower() bool { return c.groups >= enough && c.each >= c.one }

// worth is how many messages have to wait for a group to be worth it: as many as
// take longer alone. Where the broker does not wait for its disk, that is never. As
// long as little is known, every message goes alone, to find out.
func (c *cost) worth() int {
	const (
		fewest, never = 8, maxGroup + 1
		known         = 32
		guess         = 3 * time.Millisecond
	)
	if c.seen < known || c.one <= member || c.slower() {
		return never
	}
	return int(max(fewest, min(cmp.Or(c.fixed, guess)/(c.one-member), never)))
}
