package predict

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

func TestRowsAreLimited(t *testing.T) {
	t.Parallel()
	s := standing(t)
	s.Limits.Rows = 2
	h := s.Handler()
	for path, body := range map[string]string{
		"/v2/models/churn/infer":   `{"inputs":[{"name":"x","shape":[%d,2],"datatype":"FP32","data":[%s]}]}`,
		"/v1/models/churn:predict": `{"instances":[%[2]s]}`,
	} {
		row := "[1,2]"
		if status, text := do(t, h, "POST", path, fmt.Sprintf(body, 2, row+","+row)); status != 200 {
			t.Errorf("%s: two rows: got %d %s", path, status, text)
		}
		status, text := do(t, h, "POST", path, fmt.Sprintf(body, 3, row+","+row+","+row))
		if status != 413 || !strings.Contains(text, "3 rows are more than 2") {
			t.Errorf("%s: three rows: got %d %s, want 413", path, status, text)
		}
	}
}

// A request that finds all turns taken is answered when one is given back, and
// refused when none is before its deadline.
func TestConcurrencyIsLimited(t *testing.T) {
	t.Parallel()
	s := newBench(t).Server
	s.Limits.Concurrency = 1
	slow := &constant{features: 2, value: 1, begun: make(chan struct{}), end: make(chan struct{})}
	stand(s, "slow", "m-1", slow)
	stand(s, "churn", "m-2", &constant{features: 2, value: 2})
	h := s.Handler()
	ask := func(path string) chan string {
		answered := make(chan string, 1)
		go func() {
			status, body := do(t, h, "POST", path, twoZeros)
			answered <- fmt.Sprint(status, " ", body)
		}()
		return answered
	}
	first := ask("/v2/models/slow/infer")
	<-slow.begun

	if got := <-ask("/v2/models/nobody/infer"); !strings.HasPrefix(got, "404") {
		t.Errorf("got %s, want 404 without a turn", got)
	}
	err := s.gear().turns.take(t.Context(), time.Now())
	if status, text := statusOf(err), fmt.Sprint(err); status != 503 || text != "server: all of its 1 requests at a time are taken" {
		t.Errorf("got %d %s, want 503", status, text)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := s.gear().turns.take(gone, time.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the client has gone", err)
	}

	second := ask("/v2/models/churn/infer")
	slow.end <- struct{}{}
	for name, answered := range map[string]chan string{"first": first, "second": second} {
		if got := <-answered; !strings.HasPrefix(got, "200") {
			t.Errorf("%s: got %s, want an answer", name, got)
		}
	}
}

// A client that does not send its request in time is told so.
func TestBodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Limits.Deadline = 250 * time.Millisecond
	b.want(t, 1, 1, ref("m-1"), nil)
	url, _ := start(t, b.Server)
	<-b.ready
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST /v2/models/churn/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %s, want 408", response.Status)
	}
}

// A large batch ends at the deadline of its request.
func TestBatchBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	m := &constant{features: 1 << 15, value: 1}
	rows := make([]float64, 5*m.features)
	if err := predictRows(m, make([]float64, 5), rows, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("in time: %v", err)
	}
	err := predictRows(m, make([]float64, 5), rows, time.Now())
	if want := "the deadline of the request has passed after 2 of 5 rows"; statusOf(err) != 504 || err.Error() != want {
		t.Errorf("got %d %v, want 504 %s", statusOf(err), err, want)
	}
}

// The parts of a batch are put together, and its faults counted from its start.
func TestBatchInParts(t *testing.T) {
	t.Parallel()
	model, facts, err := load("../../cmd/slipway/demo/churn-v2.ubj", "xgboost")
	if err != nil {
		t.Fatal(err)
	}
	const count = 30_000
	rows := make([]float64, count*facts.Features)
	for i := range rows {
		rows[i] = float64(i % 97)
	}
	got, want := make([]float64, count), make([]float64, count)
	if err := predictRows(model, got, rows, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := model.Predict(want, rows); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("row %d: got %v, want %v", i, got[i], want[i])
		}
	}
	rows[len(rows)-1] = 1e300
	err = predictRows(model, got, rows, time.Now().Add(time.Hour))
	if r, ok := errors.AsType[*rangeError](err); !ok || r.index != len(rows)-1 {
		t.Errorf("got %v, want the fault at value %d", err, len(rows)-1)
	}
}

// A stop lets the requests that run end, and takes no other.
func TestStopAnswersWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	slow := &constant{features: 2, value: 7, begun: make(chan struct{}), end: make(chan struct{})}
	b.read = func(string, deployment.Format) (Model, error) { return slow, nil }
	b.want(t, 1, 1, ref("m-1"), nil)
	url, stop := start(t, b.Server)
	<-b.ready
	answered := make(chan string, 1)
	go func() {
		response, err := http.Post(url+"/v2/models/churn/infer", "", strings.NewReader(twoZeros))
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = response.Body.Close()
		answered <- response.Status
	}()
	<-slow.begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if err := b.servers.waitGone(patience(t), b.ID); err != nil { // it is stopping
		t.Fatal(err)
	}
	if b.Ready() {
		t.Error("ready while it stops")
	}
	close(slow.end)
	if got := <-answered; got != "200 OK" {
		t.Errorf("got %s for the request that ran", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if response, err := http.Get(url + "/v2"); err == nil {
		_ = response.Body.Close()
		t.Error("answers after the stop")
	}
}

// TestBadInput is what can be wrong with a request for predictions. Each answer is
// the protocol's error (do checks its shape), names what is wrong and what was
// expected, and harms nobody: the same server answers the next request.
func TestBadInput(t *testing.T) {
	t.Parallel()
	model, _, err := load("../../cmd/slipway/demo/churn-v2.ubj", "xgboost")
	if err != nil {
		t.Fatal(err)
	}
	s := newBench(t).Server
	stand(s, "churn", "m-2", model)
	h := s.Handler()
	names := strings.Join(model.FeatureNames(), ", ")
	infer := func(shape, datatype, data string) string {
		return requestOf("input-0 " + shape + " " + datatype + " " + data)
	}
	const v2, v1 = "/v2/models/churn/infer", "/v1/models/churn:predict"
	for _, test := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"not JSON", v2, `{"inputs":[`, 400, "request: ends within a value"},
		{"not JSON in v1", v1, `instances`, 400, `request: expected an object, got "instances" at byte 0`},
		{"no body", v2, "", 400, "request: expected an object, got the end"},
		{"100 MB", v2, `{"inputs":[{"name":"input-0","shape":[1],"datatype":"FP32","data":[` + strings.Repeat("1,", 50_000_000) + `1]}]}`, 413, "request body: more than 16777216 bytes"},
		{"unknown deployment", "/v2/models/nobody/infer", infer("[6]", "FP32", "[1,2,3,4,5,6]"), 404, `model "nobody": no such deployment`},
		{"unknown version", "/v2/models/churn/versions/m-9/infer", infer("[6]", "FP32", "[1,2,3,4,5,6]"), 404, `model churn: version "m-9" is not served, m-2 is`},
		{"unknown version in v1", "/v1/models/churn/versions/m-9:predict", `{"instances":[[1,2,3,4,5,6]]}`, 404, `version "m-9" is not served`},
		{"unknown output", v2, `{"inputs":[],"outputs":[{"name":"label"}]}`, 400, `outputs: no output "label", expected predict`},
		{"too few values", v2, infer("[1,5]", "FP32", "[1,2,3,4,5]"), 400, "input input-0: expected 6 values per row (" + names + "), got 5"},
		{"shape and data differ", v2, infer("[2,6]", "FP32", "[1,2,3,4,5,6]"), 400, "inputs: input-0: data: expected the 12 values of the shape, got 6"},
		{"three dimensions", v2, infer("[1,1,6]", "FP32", "[1,2,3,4,5,6]"), 400, "inputs: input-0: shape: 3 dimensions: expected [features] or [rows, features]"},
		{"empty batch", v2, infer("[0,6]", "FP32", "[]"), 400, "inputs: input-0: shape: no values: expected 1 or more rows and features"},
		{"empty batch in v1", v1, `{"instances":[]}`, 400, "instances: no rows: expected 1 or more"},
		{"no inputs", v2, `{"inputs":[]}`, 400, "inputs: expected one tensor, got none"},
		{"input without name", v2, `{"inputs":[{"shape":[6],"datatype":"FP32","data":[1,2,3,4,5,6]}]}`, 400, "inputs: name: missing"},
		{"missing name", v2, requestOf(model.FeatureNames()[0] + " [1] FP32 [1]"), 400, "inputs: " + model.FeatureNames()[1] + ": missing, expected one tensor for each feature (" + names + ")"},
		{"wrong name", v2, requestOf(model.FeatureNames()[0]+" [1] FP32 [1]", "colour [1] FP32 [1]"), 400, `inputs: no input "colour", expected one tensor of shape [rows, 6], or one tensor for each feature (` + names + ")"},
		{"missing name in v1", v1, `{"instances":[{"` + model.FeatureNames()[0] + `":1}]}`, 400, "instances: row 0: " + model.FeatureNames()[1] + ": missing, expected a value or null"},
		{"wrong name in v1", v1, `{"instances":[{"colour":1}]}`, 400, `instances: row 0: no feature "colour" (` + names + ")"},
		{"wrong datatype", v2, infer("[6]", "FLOAT", "[1,2,3,4,5,6]"), 400, `inputs: input-0: datatype "FLOAT": expected FP16, FP32, FP64, BOOL or an INT or UINT of 8 to 64 bits`},
		{"BYTES", v2, infer("[1]", "BYTES", `["a"]`), 400, `inputs: input-0: datatype "BYTES": expected FP16`},
		{"text for numbers", v2, infer("[1,6]", "FP32", `[1,2,"3",4,5,6]`), 400, `inputs: input-0: data: value 2: "\"3\"" at byte`},
		{"text for numbers in v1", v1, `{"instances":[["1",2,3,4,5,6]]}`, 400, `instances: row 0: value 0: "\"1\"" at byte 15: expected a number, or null for a missing value`},
		{"fraction for a whole number", v2, infer("[6]", "INT32", "[1,2,3.5,4,5,6]"), 400, "value 2: \"3.5\" at byte"},
		{"NaN", v2, infer("[6]", "FP32", "[1,NaN,3,4,5,6]"), 400, `value 1: "NaN" at byte`},
		{"Infinity", v2, infer("[6]", "FP32", "[1,2,-Infinity,4,5,6]"), 400, `value 2: "-Infinity" at byte`},
		{"out of range", v2, infer("[6]", "FP32", "[1,2,1e39,4,5,6]"), 400, "out of the range of the datatype"},
		{"out of the range of the model", v2, infer("[6]", "FP64", "[1,2,1e300,4,5,6]"), 400, "input input-0: data: value 2: 1e+300 is out of the range of FP32, in which the model calculates"},
		{"out of the range of the model in v1", v1, `{"instances":[[1,2,3,4,5,6],[1,2,3,4,5,-1e300]]}`, 400, "input instances: data: value 11: -1e+300 is out of the range of FP32"},
		{"another method", "/v2/models/churn/ready", "", 405, "expected GET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, text := do(t, h, "POST", test.path, test.body)
			var message struct{ Error string }
			unmarshal(t, text, &message)
			if status != test.status || !strings.Contains(message.Error, test.says) {
				t.Errorf("got %d %s, want %d %s", status, message.Error, test.status, test.says)
			}
			if status, text := do(t, h, "POST", v2, infer("[6]", "FP32", "[1,2,3,4,5,6]")); status != 200 {
				t.Errorf("afterwards: got %d %s", status, text)
			}
		})
	}
	binary := httptest.NewRequest("POST", v2, strings.NewReader("{}12345678"))
	binary.Header.Set("Inference-Header-Content-Length", "2")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, binary)
	checkAnswer(t, "POST", v2, answer.Code, answer.Body.Bytes())
	if answer.Code != 501 || !strings.Contains(answer.Body.String(), "binary tensors are not read here, expected JSON") {
		t.Errorf("binary tensors: got %d %s, want 501", answer.Code, answer.Body)
	}
	// 100 MB without saying so before: the answer is sent at the limit, what comes after it is of no use.
	endless := httptest.NewRequest("POST", v2, &repeated{left: 100 << 20})
	endless.ContentLength = -1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, endless)
	if !w.Flushed || w.Code != 413 || !strings.Contains(w.Body.String(), "request body: more than 16777216 bytes") {
		t.Errorf("got %d %s, sent before all is read: %v, want 413", w.Code, w.Body, w.Flushed)
	}
}

// TestBodyThatIsSentBeforeTheAnswerIsRead sends 100 MB, with and without saying so
// before, and looks for the answer only then.
func TestBodyThatIsSentBeforeTheAnswerIsRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(standing(t).Handler())
	t.Cleanup(server.Close)
	const size = 100 << 20
	for _, path := range []string{"/v2/models/churn/infer", "/v1/models/churn:predict"} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"} {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", path, framing); err != nil {
				t.Fatal(err)
			}
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range size / len(chunk) {
				part := chunk
				if framing[0] == 'T' {
					part = slices.Concat([]byte("100000\r\n"), chunk, []byte("\r\n"))
				}
				if _, err := conn.Write(part); err != nil {
					t.Fatalf("%s, %s: %v", path, framing, err)
				}
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", path, framing, err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != 413 || !strings.Contains(string(body), "request body: more than 16777216 bytes") {
				t.Errorf("%s, %s: got %d %s, %v", path, framing, answer.StatusCode, body, err)
			}
		}
	}
}

// repeated is a body of so many blanks.
type repeated struct{ left int }

func (r *repeated) Read(b []byte) (int, error) {
	n := min(len(b), r.left)
	for i := range b[:n] {
		b[i] = ' '
	}
	if r.left -= n; n == 0 {
		return 0, errors.New("all was read")
	}
	return n, nil
}

func (r *repeated) Close() error { return nil }
