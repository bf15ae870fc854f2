package predict

import (
	"context"
	"runtime/debug"

	"github.com/slipway-ml/slipway/deployment"
)

// open fetches and loads a model and asks it for predictions.
func (s *Server) open(ctx context.Context, ref deployment.ModelRef) (m Model, err error) {
	path, err := s.Artifacts.Open(ctx, ref.Digest, ref.Size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = deployment.Reject(deployment.CodePanic, atArtifact, "load model: panic: %v", p)
		}
	}()
	if s.read != nil {
		return s.read(path, ref.Format)
	}
	m, _, err = load(path, ref.Format)
	return m, err
}

// largeFile is from how many bytes on what a model took is given back to the
// system at once. The garbage collector of an idle process would be in no hurry.
const largeFile = 8 << 20

// tidy gives memory back that a model of that size took and that is not used any
// more, beside everything else.
func (s *Server) tidy(size int64) {
	if size >= largeFile {
		s.running.Go(debug.FreeOSMemory)
	}
}
