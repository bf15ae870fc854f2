package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Object is what the store has under a name; a command names a file with it.
type Object struct {
	Object string            `json:"object"`
	Digest deployment.Digest `json:"digest"`
	Size   int64             `json:"size"` // bytes
}

// putObject streams the body into the object of that name. Until it is complete,
// and is what its sender says, the object is what it was.
func (s *Server) putObject(w http.ResponseWriter, r *http.Request, name string) error {
	want, field, err := s.expected(r, name)
	if err != nil {
		return err
	}
	before, err := s.Objects.Look(r.Context(), name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	created := err != nil
	body := s.body(w, r)
	stored := before
	if want != nil && bytes.Equal(want, before.Sum) {
		if err = same(body, want); err == nil { // it is there: what is sent is looked at, and not stored again
			_, err = s.Objects.Renew(r.Context(), name)
		}
	} else {
		stored, err = s.Objects.PutSum(r.Context(), name, body, want)
	}
	if err != nil {
		return s.wrongBody(r, err, cmp.Or(field, "path"))
	}
	body.rest()
	w.Header().Set("Repr-Digest", digestHeader(stored.Sum))
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answerJSON(w, status, Object{name, deployment.DigestOf(stored.Sum), stored.Size})
}

// expected is the SHA-256 that the body is to have, nil: any, and which header
// says so; or why nothing can be put there.
func (s *Server) expected(r *http.Request, name string) (want []byte, field string, err error) {
	digest, err := artifacts.ObjectDigest(name)
	if err != nil {
		return nil, "", refuse(http.StatusBadRequest, "path", "%w", err)
	}
	switch encoding := r.Header.Get("Content-Encoding"); {
	case encoding != "" && encoding != "identity":
		return nil, "", refuse(http.StatusUnsupportedMediaType, "Content-Encoding", "content encoding %q: expected the bytes as they are to be stored", encoding)
	case r.Header.Get("Content-Range") != "":
		return nil, "", refuse(http.StatusBadRequest, "Content-Range", "expected the whole file, not a part of it")
	case r.ContentLength < 0:
		return nil, "", refuse(http.StatusLengthRequired, "Content-Length", "expected Content-Length, how many bytes the file has")
	case r.ContentLength == 0:
		return nil, "", refuse(http.StatusBadRequest, "Content-Length", "the file is empty: expected that of a model")
	case s.MaxObject > 0 && r.ContentLength > s.MaxObject:
		return nil, "", refuse(http.StatusRequestEntityTooLarge, "Content-Length", "file of %d bytes: expected %d at most", r.ContentLength, s.MaxObject).
			coded(deployment.CodeArtifactTooLarge)
	}
	want, field, err = announced(r.Header)
	if err != nil || digest == "" {
		return want, field, err
	}
	named, err := hex.DecodeString(digest.Hex())
	if err == nil && want != nil && !bytes.Equal(want, named) {
		err = refuse(http.StatusBadRequest, field, "%s says another SHA-256 than the name of the object", field).coded(deployment.CodeDigestMismatch)
	}
	return named, field, err
}

// same reads the body, which is to be what is stored already.
func same(body io.Reader, want []byte) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return jetstream.ErrSum
	}
	return nil
}

// wrongBody says what is wrong with a body that could not be taken; field is what
// says its digest.
func (s *Server) wrongBody(r *http.Request, err error, field string) error {
	tooLarge, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case errors.Is(err, jetstream.ErrSum):
		return refuse(http.StatusBadRequest, field, "the body is not what %s says: %w", field, err).coded(deployment.CodeDigestMismatch)
	case large:
		return refuse(http.StatusRequestEntityTooLarge, "body", "body of more than %d bytes: expected that at most", tooLarge.Limit).
			coded(deployment.CodeTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "body", "nothing came of the body for %v", s.stall())
	case errors.Is(err, io.ErrUnexpectedEOF), r.Context().Err() != nil:
		return refuse(http.StatusBadRequest, "body", "the body ended early: %w", err)
	}
	return err
}

// headObject says what the store has under a name.
func (s *Server) headObject(w http.ResponseWriter, r *http.Request, name string) error {
	if _, err := artifacts.ObjectDigest(name); err != nil {
		return refuse(http.StatusBadRequest, "path", "%w", err)
	}
	found, err := s.Objects.Look(r.Context(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "path", "there is no object %s", name).coded(deployment.CodeArtifactNotFound)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", strconv.FormatInt(found.Size, 10))
	w.Header().Set("Repr-Digest", digestHeader(found.Sum))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) stall() time.Duration { return cmp.Or(s.Stall, DefaultStall) }

// body is the body of the request, which may take long but not stand still.
func (s *Server) body(w http.ResponseWriter, r *http.Request) *moving {
	return &moving{Reader: r.Body, control: http.NewResponseController(w), stall: s.stall()}
}

type moving struct {
	io.Reader
	control *http.ResponseController
	stall   time.Duration
}

func (m *moving) Read(p []byte) (int, error) {
	_ = m.control.SetReadDeadline(time.Now().Add(m.stall)) // what cannot is no connection
	return m.Reader.Read(p)
}

// rest lets the connection rest: what is done from here on takes its own time.
func (m *moving) rest() { _ = m.control.SetReadDeadline(time.Time{}) }
