package jetstream

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// An object is stored as all clients of NATS store them (its ADR 20): chunks on a
// subject of their own, then, on that of the name, what says which they are. The
// client library does the same, but sends up to 4000 chunks before it waits for one,
// which is more than a broker takes that writes each to the disk: it drops them.
const (
	objectChunk  = 128 << 10        // bytes of a message
	objectWindow = 32               // chunks that are sent and not acknowledged
	objectWait   = 30 * time.Second // for an acknowledgement
)

func chunkSubject(id string) string { return "$O." + ArtifactsStore + ".C." + id }

func metaSubject(name string) string {
	return "$O." + ArtifactsStore + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// put streams in into the object of that name. Until all of it is stored the object
// is what it was; what was sent of one that is not finished is taken away again. The
// broker has acknowledged every part then. It is not asked what it has: a replica
// that lags would say something else.
func (o *Objects) put(ctx context.Context, name string, in *summed) (*natsjs.ObjectInfo, error) {
	asking, cancel := bounded(ctx)
	old, err := o.store.GetInfo(asking, name)
	cancel()
	if err != nil && !errors.Is(err, natsjs.ErrObjectNotFound) {
		return nil, err
	}
	info := &natsjs.ObjectInfo{
		ObjectMeta: natsjs.ObjectMeta{Name: name, Opts: &natsjs.ObjectMetaOptions{ChunkSize: objectChunk}},
		Bucket:     ArtifactsStore, NUID: rand.Text(),
	}
	if info.Chunks, err = o.sendChunks(ctx, chunkSubject(info.NUID), in); err != nil {
		return nil, errors.Join(err, o.purge(ctx, info.NUID))
	}
	info.Size, info.Digest = uint64(in.size), natsjs.GetObjectDigestValue(in.sum) //nolint:gosec // never negative
	body, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), objectWait)
	defer cancel()
	_, err = o.js.PublishMsg(storing, &nats.Msg{
		Subject: metaSubject(name), Data: body, Header: nats.Header{natsjs.MsgRollup: {natsjs.MsgRollupSubject}},
	})
	if _, refused := errors.AsType[*natsjs.APIError](err); refused {
		err = errors.Join(err, o.purge(ctx, info.NUID))
	}
	if err != nil {
		return nil, err // without an answer, it may be stored: its chunks stay
	}
	if old != nil {
		_ = o.purge(ctx, old.NUID) // chunks of nothing take room and do no harm
	}
	return info, nil
}

// sendChunks stores what in gives as messages on the subject, and returns how many.
func (o *Objects) sendChunks(ctx context.Context, subject string, in io.Reader) (count uint32, err error) {
	js, err := natsjs.New(o.js.Conn(), natsjs.WithPublishAsyncTimeout(objectWait))
	if err != nil {
		return 0, err
	}
	defer js.CleanupPublisher()
	defer func() {
		if err == nil {
			return
		}
		select { // what is on its way would be stored after the rest was taken away
		case <-js.PublishAsyncComplete():
		case <-time.After(requestTimeout):
		}
	}()
	sent := make(chan natsjs.PubAckFuture, objectWindow)
	buffer := make([]byte, objectChunk)
	for {
		n, reading := in.Read(buffer)
		if reading != nil && !errors.Is(reading, io.EOF) {
			return count, reading
		}
		if n > 0 {
			if len(sent) == cap(sent) {
				if err := acknowledged(ctx, <-sent); err != nil {
					return count, err
				}
			}
			// A chunk that is sent again would be behind those that follow it.
			ack, err := js.PublishMsgAsync(&nats.Msg{Subject: subject, Data: buffer[:n]}, natsjs.WithRetryAttempts(0))
			if err != nil {
				return count, err
			}
			sent <- ack
			count++
		}
		if reading != nil {
			break
		}
	}
	for len(sent) > 0 {
		if err := acknowledged(ctx, <-sent); err != nil {
			return count, err
		}
	}
	return count, nil
}

// acknowledged waits until the message is stored.
func acknowledged(ctx context.Context, ack natsjs.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// purge takes the chunks of an object away, also when ctx has ended.
func (o *Objects) purge(ctx context.Context, id string) error {
	ctx, cancel := bounded(context.WithoutCancel(ctx))
	defer cancel()
	stream, err := o.js.Stream(ctx, "OBJ_"+ArtifactsStore)
	if err == nil {
		err = stream.Purge(ctx, natsjs.WithPurgeSubject(chunkSubject(id)))
	}
	if err != nil {
		return fmt.Errorf("take away what was sent: %w", err)
	}
	return nil
}
