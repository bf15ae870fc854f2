package predict

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDecodeRows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		values     []float64
	}{
		{"arrays", `{"instances":[[1,2.5,-3e2],[4,null,true]]}`, []float64{1, 2.5, -300, 4, nan, 1}},
		{"inputs", ` { "inputs" : [ [ 1 , 2 , 3 ] ] } `, []float64{1, 2, 3}},
		{"objects", `{"instances":[{"vip":false,"age":1,"tenure":null},{"age":4,"tenure":5,"vip":6}]}`, []float64{1, nan, 0, 4, 5, 6}},
		{"both", `{"instances":[[1,2,3],{"age":4,"tenure":5,"vip":6}]}`, []float64{1, 2, 3, 4, 5, 6}},
		{"more", `{"signature_name":"x","instances":[[1,2,3]],"parameters":{"a":[1]}}`, []float64{1, 2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q := request{values: []float64{9}, seen: []bool{true, true, true}}
			if err := q.decodeRows([]byte(test.body), named, 3); err != nil {
				t.Fatal(err)
			}
			if q.rows != len(test.values)/3 || q.features != 3 || !slices.EqualFunc(q.values, test.values, sameFloat) {
				t.Errorf("got %d rows of %d: %v, want %v", q.rows, q.features, q.values, test.values)
			}
		})
	}
}

func TestDecodeRowsRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, says string }{
		{"nothing", "", "expected an object, got the end"},
		{"rows alone", "[[1,2,3]]", "expected an object"},
		{"no rows", `{}`, "instances: missing"},
		{"empty batch", `{"instances":[]}`, "instances: no rows: expected 1 or more"},
		{"both names", `{"instances":[[1,2,3]],"inputs":[[1,2,3]]}`, "instances and inputs: expected one of them"},
		{"more", `{"instances":[[1,2,3]]}]`, "more after the end"},
		{"rows of another kind", `{"inputs":{"age":[1]}}`, "inputs: expected an array"},
		{"number", `{"instances":[1,2,3]}`, `instances: row 0: expected an array of 3 values or an object, got "1"`},
		{"short row", `{"instances":[[1,2,3],[1,2]]}`, "instances: row 1: expected 3 values (age, tenure, vip), got 2"},
		{"long row", `{"instances":[[1,2,3,4]]}`, "row 0: expected 3 values (age, tenure, vip), got 4"},
		{"nested row", `{"instances":[[[1],2,3]]}`, "expected a number"},
		{"text", `{"instances":[[1,"2",3]]}`, `row 0: value 1: "\"2\"`},
		{"NaN", `{"instances":[[1,NaN,3]]}`, `"NaN" at byte 17: expected a number, or null for a missing value`},
		{"out of range", `{"instances":[[1,1e999,3]]}`, "out of the range"},
		{"unknown name", `{"instances":[{"age":1,"size":2,"vip":3}]}`, `row 0: no feature "size" (age, tenure, vip)`},
		{"missing name", `{"instances":[{"age":1,"vip":3,"tenure":2},{"age":1,"vip":3}]}`, "row 1: tenure: missing, expected a value or null"},
		{"empty object", `{"instances":[{}]}`, "row 0: age: missing"},
		{"name twice", `{"instances":[{"age":1,"age":3}]}`, "row 0: age: stands twice"},
		{"text by name", `{"instances":[{"age":"old"}]}`, `row 0: age: "\"old\"" at byte 21: expected a number`},
		{"array by name", `{"instances":[{"age":[1]}]}`, `row 0: age: "[1]}]}" at byte 21: expected a number`},
		{"cut", `{"instances":[{"age":1,`, "ends within a value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var q request
			if err := q.decodeRows([]byte(test.body), named, 3); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v, want %q", err, test.says)
			}
		})
	}
	var q request
	if err := q.decodeRows([]byte(`{"instances":[{"age":1}]}`), nil, 1); err == nil || !strings.Contains(err.Error(), "has no names of features") {
		t.Errorf("got error %v, want that the model has no names", err)
	}
}

func TestProtocolV1(t *testing.T) {
	t.Parallel()
	h := standing(t).Handler()
	const rows = `{"instances":[[1,2],{"tenure":1,"age":3}]}`
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/models", "", 200, `{"models":["churn","deploying","faulty","inf","many","multi","nan","panicking"]}`},
		{"GET", "/v1/models/churn", "", 200, `{"name":"churn","ready":true}`},
		{"GET", "/v1/models/churn/versions/m-1", "", 200, `{"name":"churn","ready":true}`},
		{"GET", "/v1/models/deploying", "", 503, `{"name":"deploying","ready":false}`},
		{"POST", "/v1/models/churn:predict", rows, 200, `{"predictions":[0.5,0.5],"model_version":"m-1"}`},
		{"POST", "/v1/models/churn/versions/m-1:predict", rows, 200, `{"predictions":[0.5,0.5],"model_version":"m-1"}`},
		{"POST", "/v1/models/multi:predict", `{"instances":[[1],[2]]}`, 200, `{"predictions":[[1e-07,1e-07,1e-07],[1e-07,1e-07,1e-07]],"model_version":"m-3"}`},
		{"GET", "/v1/models/nobody", "", 404, `{"error":"model \"nobody\": no such deployment"}`},
		{"POST", "/v1/models/nobody:predict", rows, 404, `{"error":"model \"nobody\": no such deployment"}`},
		{"POST", "/v1/models/churn/versions/m-2:predict", rows, 404, `{"error":"model churn: version \"m-2\" is not served, m-1 is"}`},
		{"POST", "/v1/models/deploying:predict", rows, 503, `{"error":"model deploying: not ready"}`},
		{"GET", "/v1/models/churn:predict", "", 405, `{"error":"GET /v1/models/churn:predict: expected POST"}`},
		{"POST", "/v1/models/churn", rows, 405, `{"error":"POST /v1/models/churn: expected GET"}`},
		{"POST", "/v1/models/churn:explain", rows, 501, `{"error":"/v1/models/churn:explain: predictions are not explained here, expected :predict"}`},
		{"POST", "/v1/models/churn:train", rows, 404, `{"error":"/v1/models/churn:train: no such path"}`},
		{"POST", "/v1/models/churn:predict", `{"instances":[[1]]}`, 400, `{"error":"instances: row 0: expected 2 values (age, tenure), got 1"}`},
		{"POST", "/v1/models/nan:predict", `{"instances":[[1]]}`, 500, `{"error":"model nan: version m-4: output predict: row 0, value 0 is NaN"}`},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			if status, got := do(t, h, test.method, test.path, test.body); status != test.status || got != test.want {
				t.Errorf("got %d %s, want %d %s", status, got, test.status, test.want)
			}
		})
	}
}

// FuzzDecodeRows holds the decoder of v1 against encoding/json: what it takes is
// JSON, and means the same there.
func FuzzDecodeRows(f *testing.F) {
	for _, body := range []string{
		`{"instances":[[1,2.5,-3e2],[4,null,true]]}`, `{"inputs":[{"vip":false,"age":1,"tenure":null}]}`, `{"x":{},"instances":[[1,2,3]]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var q request
		if q.decodeRows(body, named, 3) != nil {
			return
		}
		if len(q.values) != 3*q.rows || q.rows == 0 {
			t.Fatalf("got %d values for %d rows", len(q.values), q.rows)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("took what is not a request: %v", err)
		}
		var rows []any
		if err := json.Unmarshal(want[q.input], &rows); err != nil || len(rows) != q.rows {
			t.Fatalf("got %d rows, want %d: %v", q.rows, len(rows), err)
		}
		for i, v := range q.values {
			var said any
			switch row := rows[i/3].(type) {
			case []any:
				said = row[i%3]
			case map[string]any:
				said = row[named[i%3]]
			}
			if want, err := number(said); err != nil || !sameFloat(v, want) {
				t.Fatalf("value %d: got %v, want %v: %v", i, v, said, err)
			}
		}
	})
}

// number is a value of JSON as a value of a row.
func number(said any) (float64, error) {
	switch v := said.(type) {
	case nil:
		return nan, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case float64:
		return v, nil
	}
	return 0, fmt.Errorf("%v is no value of a row", said)
}
