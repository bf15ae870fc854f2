package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/jetstream"
)

// Audit compares the projections with what the ledger says, while workers may go
// on, and mends what differs.
type Audit struct {
	*Fold
	Ledger   *jetstream.Ledger
	Commands *jetstream.Commands
	Buckets  map[string]*jetstream.RawBucket // by name; nil: there is no such bucket
	Settle   time.Duration                   // before what differs is looked at again: a worker projects just after it has written

	Keys        int // that the projections have to have
	Unfinished  int // commands that have no outcome yet
	Differences []Difference
}

// Difference is a key of a bucket that is not as the ledger says.
type Difference struct {
	place
	Kind   DifferenceKind `json:"kind"`
	Fields []Field        `json:"fields,omitempty"` // those that differ

	have, want []byte // nil: no such key
	revision   uint64 // of have
}

type place struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// DifferenceKind says how a bucket differs from the ledger.
type DifferenceKind string

// The kinds of difference.
const (
	Missing DifferenceKind = "missing" // the ledger has it, the bucket does not
	Extra   DifferenceKind = "extra"   // the bucket has it, the ledger does not
	Differs DifferenceKind = "differs"
)

// settleRounds is how often what differs is looked at again before it counts.
const settleRounds = 4

// Projected are the buckets that are projections of the ledger.
func Projected() []string {
	return []string{jetstream.DeploymentsBucket, jetstream.ModelsBucket, jetstream.OperationsBucket}
}

// Run folds the ledger, up to its newest event, and finds what differs from it.
func (a *Audit) Run(ctx context.Context) error {
	if a.Fold == nil {
		a.Fold = NewFold()
	}
	if err := a.read(ctx); err != nil {
		return err
	}
	suspects, err := a.scan(ctx)
	if err != nil {
		return err
	}
	for round := 0; round < settleRounds && len(suspects) > 0; round++ {
		if err := pause(ctx, a.Settle); err != nil {
			return err
		}
		if suspects, err = a.compare(ctx, suspects); err != nil {
			return err
		}
	}
	a.Differences = suspects
	a.Keys = len(a.Deployments) + len(a.Models) + len(a.Operations)
	return a.unanswered(ctx)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read folds in the events that are new.
func (a *Audit) read(ctx context.Context) error { return decoded(ctx, a.Ledger, a.Position+1, a.add) }

// scan finds every key that is not as the fold says.
func (a *Audit) scan(ctx context.Context) (suspects []Difference, err error) {
	for _, bucket := range Projected() {
		seen := make(map[string]bool)
		if have := a.Buckets[bucket]; have != nil {
			if err := have.Each(ctx, func(key string, value []byte) {
				seen[key] = true
				if !same(value, a.value(place{bucket, key})) {
					suspects = append(suspects, Difference{place: place{bucket, key}})
				}
			}); err != nil {
				return nil, err
			}
		}
		for _, key := range a.keys(bucket) {
			if !seen[key] {
				suspects = append(suspects, Difference{place: place{bucket, key}})
			}
		}
	}
	return suspects, nil
}

// compare looks at keys again. A key may show what the ledger said of it when it
// was folded last, or anything it has said since: the value is loaded first, and
// then the fold goes on to the ledger's end, so whatever a worker can have
// projected by then is among it.
func (a *Audit) compare(ctx context.Context, suspects []Difference) (differ []Difference, err error) {
	said := make(map[place][][]byte, len(suspects))
	for i := range suspects {
		d := &suspects[i]
		said[d.place] = [][]byte{a.value(d.place)}
		if d.have, d.revision, err = a.load(ctx, d.place); err != nil {
			return nil, err
		}
	}
	a.changed = func(bucket, key string) {
		at := place{bucket, key}
		if before, suspect := said[at]; suspect {
			said[at] = append(before, a.value(at))
		}
	}
	err = a.read(ctx)
	a.changed = nil
	if err != nil {
		return nil, err
	}
	for _, d := range suspects {
		if slices.ContainsFunc(said[d.place], func(value []byte) bool { return same(d.have, value) }) {
			continue
		}
		d.want = a.value(d.place)
		d.Kind, d.Fields = describeDifference(d.have, d.want)
		differ = append(differ, d)
	}
	slices.SortFunc(differ, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key))
	})
	return differ, nil
}

func (a *Audit) load(ctx context.Context, at place) (value []byte, revision uint64, err error) {
	bucket := a.Buckets[at.Bucket]
	if bucket == nil {
		return nil, 0, nil
	}
	return bucket.Load(ctx, at.Key)
}

// unanswered counts the commands that have no outcome, and finds those whose
// turn has passed.
func (a *Audit) unanswered(ctx context.Context) error {
	a.Unfinished = 0
	return a.Commands.Each(ctx, func(subject string, sequence uint64) {
		if a.ended[sequence] > 0 {
			return
		}
		who, _ := AddressOf(subject)
		if t := a.threads[who.Fence]; t == nil || t.watermark < sequence {
			a.Unfinished++
			return
		}
		a.Violations = append(a.Violations, Violation{
			Sequence: a.threads[who.Fence].last, Kind: string(who.Kind), Name: who.Name, Rule: RuleOutcome,
			Message: fmt.Sprintf("command %d has no outcome, and the watermark is %d", sequence, a.threads[who.Fence].watermark),
		})
	})
}

// mendRounds is how often Mend tries a key that is changed by others meanwhile.
const mendRounds = 10

// Mend makes the buckets show what the ledger says, where Run found that they do
// not, and returns what it has written or removed. What a worker writes meanwhile
// is never overwritten: a write counts only if the key is still as it was when it
// was found to differ.
func (a *Audit) Mend(ctx context.Context) (mended []Difference, err error) {
	differ := a.Differences
	for round := 0; round < mendRounds && len(differ) > 0; round++ {
		for _, d := range differ {
			done, err := a.write(ctx, d)
			if err != nil {
				return mended, err
			}
			if done {
				mended = append(mended, d)
			}
		}
		// Also what was written: meanwhile, a worker may have removed a key that
		// was not there, and now is.
		if differ, err = a.compare(ctx, differ); err != nil {
			return mended, err
		}
	}
	if a.Differences = differ; len(differ) > 0 {
		return mended, fmt.Errorf("mend %s in bucket %s: it keeps changing", differ[0].Key, differ[0].Bucket)
	}
	return mended, nil
}

func (a *Audit) write(ctx context.Context, d Difference) (done bool, err error) {
	bucket := a.Buckets[d.Bucket]
	if bucket == nil {
		return false, fmt.Errorf("mend %s: there is no bucket %s", d.Key, d.Bucket)
	}
	if d.want == nil {
		return bucket.Remove(ctx, d.Key, d.revision)
	}
	return bucket.Swap(ctx, d.Key, json.RawMessage(d.want), d.revision)
}

// value is what the ledger says that key shows, as JSON; nil: there is no such key.
func (f *Fold) value(at place) []byte {
	var view any
	var exists bool
	switch at.Bucket {
	case jetstream.DeploymentsBucket:
		view, exists = f.Deployments[at.Key]
	case jetstream.ModelsBucket:
		view, exists = f.Models[at.Key]
	case jetstream.OperationsBucket:
		view, exists = f.Operations[at.Key]
	}
	if !exists {
		return nil
	}
	text, err := json.Marshal(view)
	if err != nil { // a view was read from JSON
		panic(err)
	}
	return text
}

func (f *Fold) keys(bucket string) (keys []string) {
	add := func(key string) { keys = append(keys, key) }
	switch bucket {
	case jetstream.DeploymentsBucket:
		for key := range f.Deployments {
			add(key)
		}
	case jetstream.ModelsBucket:
		for key := range f.Models {
			add(key)
		}
	case jetstream.OperationsBucket:
		for key := range f.Operations {
			add(key)
		}
	}
	return keys
}
