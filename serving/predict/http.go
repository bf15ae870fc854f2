package predict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway/deployment"
)

// problem is an error with the HTTP status it is answered with.
type problem struct {
	status int
	cause  error
}

func (p *problem) Error() string { return p.cause.Error() }
func (p *problem) Unwrap() error { return p.cause }

func problemf(status int, format string, args ...any) error {
	return &problem{status: status, cause: fmt.Errorf(format, args...)}
}

// Handler answers the Open Inference Protocol v2 and the protocol v1 before it
// (serving.md section 6). Every error is answered as {"error": "..."}.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	p := predictions{server: s, gear: s.gear()}
	handle := func(method, pattern string, answer func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := allow(w, r, method)
			if err == nil {
				err = answer(w, r)
			}
			if err != nil {
				answerProblem(w, err)
				listen(w, r, err)
			}
		})
	}
	handle("GET", "/v2", s.server)
	handle("GET", "/v2/{$}", s.server)
	handle("GET", "/v2/health/live", s.live)
	handle("GET", "/v2/health/ready", s.serverReady)
	handle("GET", "/v2/models", s.models)
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		handle("GET", model, s.metadata)
		handle("GET", model+"/ready", s.modelReady)
		handle("POST", model+"/infer", p.infer)
	}
	mux.Handle("GET /metrics", s.gear().metrics.handler())
	handle("GET", "/v1/models", s.models)
	for _, model := range []string{"/v1/models/{model}", "/v1/models/{model}/versions/{version}"} {
		mux.HandleFunc(model, func(w http.ResponseWriter, r *http.Request) {
			if err := p.oneV1(w, r); err != nil {
				answerProblem(w, err)
				listen(w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerProblem(w, problemf(http.StatusNotFound, "%s: no such path", r.URL.Path))
	})
	return mux
}

// allow is a problem when the request has another method.
func allow(w http.ResponseWriter, r *http.Request, method string) error {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return nil
	}
	w.Header().Set("Allow", method)
	return problemf(http.StatusMethodNotAllowed, "%s %s: expected %s", r.Method, r.URL.Path, method)
}

func (s *Server) server(w http.ResponseWriter, _ *http.Request) error {
	return answerJSON(w, http.StatusOK, map[string]any{"name": "slipway", "version": s.Version, "extensions": []string{}})
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	return answerJSON(w, http.StatusOK, map[string]any{"live": true})
}

func (s *Server) serverReady(w http.ResponseWriter, _ *http.Request) error {
	ready := s.Ready()
	return answerJSON(w, readyStatus(w, ready), map[string]any{"ready": ready})
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	return answerJSON(w, http.StatusOK, map[string]any{"models": append([]string{}, s.names()...)})
}

// tensor is the metadata of an input or output.
type tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"` // -1: any number
}

func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	k, v, err := s.version(r)
	if err != nil {
		return err
	}
	defer v.release()
	outputs := []int{-1}
	if n := v.model.NumOutputs(); n > 1 {
		outputs = append(outputs, n)
	}
	metadata := map[string]any{
		"name": r.PathValue("model"), "versions": k.slot.versions(), "platform": string(v.format),
		"inputs":  []tensor{{inputName, v.model.Datatype(), []int{-1, v.model.NumFeatures()}}},
		"outputs": []tensor{{outputName, v.model.Datatype(), outputs}},
	}
	if g, ok := v.model.(*graph); ok {
		metadata["inputs"], metadata["outputs"] = tensors(g.Inputs()), tensors(g.Outputs())
		if labels := g.labels(); len(labels) > 0 {
			metadata["parameters"] = map[string]any{"labels": labels}
		}
	} else if names := v.model.FeatureNames(); len(names) > 0 {
		metadata["parameters"] = map[string]any{"feature_names": names}
	}
	return answerJSON(w, http.StatusOK, metadata)
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) error {
	_, v, err := s.version(r)
	if p, ok := errors.AsType[*problem](err); ok && p.status != http.StatusServiceUnavailable {
		return err
	}
	if v != nil {
		v.release()
	}
	return answerJSON(w, readyStatus(w, v != nil), map[string]any{"name": r.PathValue("model"), "ready": v != nil})
}

// version is the version that answers the request, with a reference to release, and
// the keeper that has it.
func (s *Server) version(r *http.Request) (*keeper, *version, error) {
	name, wanted := r.PathValue("model"), r.PathValue("version")
	for range 2 { // if nothing answers it may have been stopped or started just now
		k, err := s.keeper(name)
		if err != nil {
			return nil, nil, err
		}
		if v := k.slot.acquire(deployment.Name(wanted)); v != nil {
			return k, v, nil
		}
		if v := k.slot.acquire(""); v != nil {
			defer v.release()
			return nil, nil, problemf(http.StatusNotFound, "model %s: version %q is not served, %s is", name, wanted, v.id)
		}
	}
	return nil, nil, problemf(http.StatusServiceUnavailable, "model %s: not ready", name)
}

// readyStatus is the status of an answer about readiness.
func readyStatus(w http.ResponseWriter, ready bool) int {
	if ready {
		return http.StatusOK
	}
	w.Header().Set("Retry-After", retryAfter)
	return http.StatusServiceUnavailable
}

const retryAfter = "1" // seconds

// statusOf is the status that the error is answered with.
func statusOf(err error) int {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.status
	}
	return http.StatusInternalServerError
}

func answerProblem(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	// What cannot be written has nobody to read it.
	_ = answerJSON(w, status, map[string]string{"error": err.Error()})
}

// mostUnread is how many bytes of a body that is too large are read after the answer.
const mostUnread = 256 << 20

// listen reads on, to no use, after a body was too large: a client that sends all of
// it before it looks for the answer would find the connection closed, and no answer.
// It ends with the deadline of the request.
func listen(w http.ResponseWriter, r *http.Request, err error) {
	if statusOf(err) != http.StatusRequestEntityTooLarge || r.ContentLength > mostUnread {
		return
	}
	if http.NewResponseController(w).Flush() == nil {
		_, _ = io.CopyN(io.Discard, r.Body, mostUnread) // whatever comes of it
	}
}

func answerJSON(w http.ResponseWriter, status int, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	answer(w, status, text)
	return nil
}

func answer(w http.ResponseWriter, status int, text []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone is no trouble of ours
}
