package jetstream

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A group is worth it where one message alone waits for a disk, and never where
// it does not, however busy the machine is; and that is found out again when it
// changes.
func TestCostOfGroups(t *testing.T) {
	t.Parallel()
	const lazy, disk = 15 * time.Microsecond, 250 * time.Microsecond
	var c cost
	if got := c.worth(); got <= maxGroup {
		t.Errorf("knowing nothing: a group from %d messages on, want none", got)
	}
	alone := func(least time.Duration, count int) {
		for range count {
			c.alone(least + rand.N(least/5) + time.Duration(rand.N(2))*rand.N(5*time.Millisecond)) // half of them on a busy machine
		}
	}
	alone(lazy, 500)
	if got := c.worth(); got <= maxGroup {
		t.Errorf("without fsync: a group from %d messages on, want none", got)
	}
	alone(disk, 1500)
	if got := c.worth(); got < 8 || got > 30 {
		t.Errorf("with fsync: a group from %d messages on, want about 14", got)
	}
	c.group(time.Millisecond, 20)
	if got := c.worth(); got != 8 {
		t.Errorf("with fsync and fast groups: from %d messages on, want 8", got)
	}
	alone(lazy, 500)
	if got := c.worth(); got <= maxGroup {
		t.Errorf("without fsync again: a group from %d messages on, want none", got)
	}
}

// On a machine that takes several times as long as usual, a broker that does not
// wait for its disk looks like one that does: two large groups tell. Later it is
// found out again.
func TestCostOfGroupsThatAreNoFaster(t *testing.T) {
	t.Parallel()
	const slow = 100 * time.Microsecond
	var c cost
	alone := func(count int) {
		for range count {
			c.alone(slow)
		}
	}
	alone(100)
	if got := c.worth(); got > maxGroup {
		t.Fatal("nothing is known of groups: got none, want one to be tried")
	}
	c.group(150*slow, 100)
	c.group(130*slow, 100)
	if got := c.worth(); got <= maxGroup {
		t.Errorf("a message in a group takes longer than alone: a group from %d messages on, want none", got)
	}
	alone(forget)
	if got := c.worth(); got > maxGroup {
		t.Error("much later: got no group, want one to be tried")
	}
	c.group(50*slow, 100)
	c.group(70*slow, 100)
	if got := c.worth(); got > maxGroup {
		t.Error("a message in a group takes half as long as alone: got no group, want some")
	}
}
