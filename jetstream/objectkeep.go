package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Kept is an object as it is now.
type Kept struct {
	Name string
	Size int64     // bytes
	At   time.Time // when it was stored, or renewed last, by the broker's clock

	revision uint64
	info     natsjs.ObjectInfo
}

// Orphan is what is left of an object that was never stored in whole, or was not
// removed in whole: chunks that no object has.
type Orphan struct {
	Chunks uint64
	Size   int64     // bytes, about
	At     time.Time // when the newest chunk was stored, by the broker's clock

	subject string
}

// What the subjects of metaSubject and chunkSubject begin with.
const (
	keptPrefix  = "$O." + ArtifactsStore + ".M."
	chunkPrefix = "$O." + ArtifactsStore + ".C."
)

// Renew makes the object as young as one that was stored just now, and returns
// its size in bytes: what is collected then is another one. Its error wraps
// fs.ErrNotExist when there is none.
func (o *Objects) Renew(ctx context.Context, name string) (int64, error) {
	for {
		kept, err := o.look(ctx, metaSubject(name))
		if err == nil && kept.info.Deleted {
			err = natsjs.ErrObjectNotFound
		}
		if err != nil {
			return 0, o.failed("renew", name, err)
		}
		_, err = o.swap(ctx, kept, kept.info)
		if isConflict(err) { // somebody else has renewed, replaced or removed it
			continue
		}
		if err != nil {
			return 0, o.failed("renew", name, err)
		}
		return kept.Size, nil
	}
}

// All is every object that there is, in no order.
func (o *Objects) All(ctx context.Context) (all []Kept, err error) {
	subjects, err := o.subjects(ctx, keptPrefix)
	if err != nil {
		return nil, err
	}
	for subject := range subjects {
		kept, err := o.look(ctx, subject)
		if errors.Is(err, natsjs.ErrObjectNotFound) || err == nil && kept.info.Deleted {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", ArtifactsStore, err)
		}
		all = append(all, kept)
	}
	return all, nil
}

// Discard removes the object if it is still what it was when it was listed: if it
// was neither renewed nor replaced since. Should it end in the middle, what is
// left are orphans.
func (o *Objects) Discard(ctx context.Context, k Kept) (done bool, err error) {
	gone := k.info
	gone.Deleted, gone.Size, gone.Chunks, gone.Digest = true, 0, 0, ""
	marker, err := o.swap(ctx, k, gone)
	if isConflict(err) {
		return false, nil
	}
	if err == nil {
		err = o.wipe(ctx, natsjs.WithPurgeSubject(chunkSubject(k.info.NUID)))
	}
	if err == nil { // the marker, unless the object is there again
		err = o.wipe(ctx, natsjs.WithPurgeSubject(metaSubject(k.Name)), natsjs.WithPurgeSequence(marker+1))
	}
	if err != nil {
		return false, o.failed("discard", k.Name, err)
	}
	return true, nil
}

// Orphans are all that there are, in no order. One that is young may be an object
// that is being stored.
func (o *Objects) Orphans(ctx context.Context) (all []Orphan, err error) {
	chunks, err := o.subjects(ctx, chunkPrefix) // before the objects, which may be stored meanwhile
	if err != nil {
		return nil, err
	}
	kept, err := o.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		delete(chunks, chunkSubject(k.info.NUID))
	}
	for subject, count := range chunks {
		orphan, err := o.orphan(ctx, subject, count)
		if errors.Is(err, natsjs.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", ArtifactsStore, err)
		}
		all = append(all, orphan)
	}
	return all, nil
}

func (o *Objects) orphan(ctx context.Context, subject string, count uint64) (Orphan, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	first, err := o.stream.GetMsg(ctx, 1, natsjs.WithGetMsgSubject(subject))
	if err != nil {
		return Orphan{}, err
	}
	last, err := o.stream.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return Orphan{}, err
	}
	size := int64(count-1)*int64(len(first.Data)) + int64(len(last.Data)) //nolint:gosec // never that many
	return Orphan{Chunks: count, Size: size, At: last.Time, subject: subject}, nil
}

// DiscardOrphan removes the chunks.
func (o *Objects) DiscardOrphan(ctx context.Context, orphan Orphan) error {
	if err := o.wipe(ctx, natsjs.WithPurgeSubject(orphan.subject)); err != nil {
		return fmt.Errorf("discard chunks in %s: %w", ArtifactsStore, err)
	}
	return nil
}

func (o *Objects) subjects(ctx context.Context, prefix string) (map[string]uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := o.stream.Info(ctx, natsjs.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", ArtifactsStore, err)
	}
	return info.State.Subjects, nil
}

// look is what is stored under the subject.
func (o *Objects) look(ctx context.Context, subject string) (k Kept, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := o.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return k, natsjs.ErrObjectNotFound
	}
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(raw.Data, &k.info); err != nil {
		return k, fmt.Errorf("what is kept as %s: %w", strings.TrimPrefix(subject, keptPrefix), err)
	}
	if metaSubject(k.info.Name) != subject {
		return k, fmt.Errorf("what is kept as %s says another name", strings.TrimPrefix(subject, keptPrefix))
	}
	k.Name, k.Size, k.At, k.revision = k.info.Name, int64(k.info.Size), raw.Time, raw.Sequence //nolint:gosec // an object is never that large
	return k, nil
}

// swap makes the object what info says if it is still as it was.
func (o *Objects) swap(ctx context.Context, was Kept, info natsjs.ObjectInfo) (sequence uint64, err error) {
	info.ModTime = time.Time{} // that of the message counts
	body, err := json.Marshal(info)
	if err != nil {
		return 0, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	ack, err := o.js.PublishMsg(ctx, &nats.Msg{
		Subject: metaSubject(was.Name), Data: body, Header: nats.Header{natsjs.MsgRollup: {natsjs.MsgRollupSubject}},
	}, natsjs.WithExpectLastSequencePerSubject(was.revision))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (o *Objects) wipe(ctx context.Context, options ...natsjs.StreamPurgeOpt) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return o.stream.Purge(ctx, options...)
}
