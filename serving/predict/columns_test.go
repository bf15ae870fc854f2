package predict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// requestOf is a request with these tensors, each "name shape datatype data".
func requestOf(each ...string) string {
	for i, text := range each {
		f := strings.Fields(text)
		each[i] = fmt.Sprintf(`{"name":%q,"shape":%s,"datatype":%q,"data":%s}`, f[0], f[1], f[2], f[3])
	}
	return `{"inputs":[` + strings.Join(each, ",") + `]}`
}

// named are the features of the models in these tests.
var named = []string{"age", "tenure", "vip"}

func TestDecodeColumns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body     string
		rows, features int
		values         []float64
	}{
		{"in row order", requestOf("age [2] FP32 [1,2]", "tenure [2] FP64 [3,4]", "vip [2] BOOL [true,false]"), 2, 3, []float64{1, 3, 1, 2, 4, 0}},
		{"in another order", requestOf("vip [2] UINT8 [5,6]", "age [2] INT64 [1,2]", "tenure [2] FP32 [3,null]"), 2, 3, []float64{1, 3, 5, 2, nan, 6}},
		{"one column each", requestOf("age [2,1] FP32 [[1],[2]]", "vip [2,1] FP32 [5,6]", "tenure [2] FP32 [3,4]"), 2, 3, []float64{1, 3, 5, 2, 4, 6}},
		{"one row", requestOf("age [1] FP32 [1]", "tenure [1,1] FP32 [[2]]", "vip [1] FP16 [3]"), 1, 3, []float64{1, 2, 3}},
		{"a tensor of rows has any name", requestOf("x [2,3] FP32 [1,2,3,4,5,6]"), 2, 3, []float64{1, 2, 3, 4, 5, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q := request{values: []float64{9, 9}, spare: []float64{8}, places: []int{7}} // of the request before
			for range 2 {
				if err := q.decode([]byte(test.body), named); err != nil {
					t.Fatal(err)
				}
				if q.rows != test.rows || q.features != test.features || !slices.EqualFunc(q.values, test.values, sameFloat) {
					t.Errorf("got %d rows of %d: %v, want %d of %d: %v", q.rows, q.features, q.values, test.rows, test.features, test.values)
				}
			}
		})
	}
}

func TestDecodeColumnsRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, says string }{
		{"one is missing", requestOf("age [1] FP32 [1]", "vip [1] FP32 [1]"), "inputs: tenure: missing, expected one tensor for each feature (age, tenure, vip)"},
		{"all but one are missing", requestOf("vip [3] FP32 [1,2,3]"), "inputs: age: missing"},
		{"one is unknown", requestOf("age [1] FP32 [1]", "size [1] FP32 [1]"), `inputs: no input "size", expected one tensor of shape [rows, 3], or one tensor for each feature (age, tenure, vip)`},
		{"rows and a column", requestOf("x [1,3] FP32 [1,2,3]", "age [1] FP32 [1]"), `no input "age", expected one tensor of shape`},
		{"one stands twice", requestOf("age [1] FP32 [1]", "age [1] FP32 [1]", "vip [1] FP32 [1]"), "age: stands twice"},
		{"one is longer", requestOf("age [1] FP32 [1]", "vip [2] FP32 [1,2]"), "vip: shape: expected 1 rows as in the input before it, got 2"},
		{"one is wider", requestOf("age [1,2] FP32 [1,2]"), "age: shape: expected [rows] or [rows, 1], as it is one feature, got [1, 2]"},
		{"values are text", requestOf("age [1] FP32 [1]", `vip [1] FP32 ["yes"]`), `vip: data: value 0: "\"yes\"" at byte`},
		{"too few values", requestOf("age [2] FP32 [1,2]", "vip [2] FP32 [1]"), "vip: data: expected the 2 values of the shape, got 1"},
		{"BYTES", requestOf("age [2] FP32 [1,2]", "vip [2] BYTES [1]"), `vip: datatype "BYTES": expected FP16`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var q request
			if err := q.decode([]byte(test.body), named); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v, want %q", err, test.says)
			}
		})
	}
}

// However a row is sent, the model is given the same values in the same order.
func TestEveryWayToSendRowsAnswersTheSame(t *testing.T) {
	t.Parallel()
	model, facts, err := load("../../cmd/slipway/demo/churn-v2.ubj", "xgboost")
	if err != nil {
		t.Fatal(err)
	}
	if len(facts.FeatureNames) != 6 {
		t.Fatalf("the demo model has features %q", facts.FeatureNames)
	}
	s := newBench(t).Server
	stand(s, "churn", "m-2", model)
	h := s.Handler()
	rows := [][]float64{{4.25, 96.5, 5, 1, 2, 31.5}, {61, 20, 0, 0, 3, 1.5}}
	var columns, objects, arrays, flat []string
	for i := len(facts.FeatureNames) - 1; i >= 0; i-- { // not in row order
		columns = append(columns, fmt.Sprintf("%s [2] FP32 [%v,%v]", facts.FeatureNames[i], rows[0][i], rows[1][i]))
	}
	for _, row := range rows {
		var members, values []string
		for i, name := range facts.FeatureNames {
			members, values = append(members, fmt.Sprintf("%q:%v", name, row[i])), append(values, fmt.Sprint(row[i]))
		}
		slices.Reverse(members)
		objects = append(objects, "{"+strings.Join(members, ",")+"}")
		arrays = append(arrays, "["+strings.Join(values, ",")+"]")
		flat = append(flat, values...)
	}
	_, want := do(t, h, "POST", "/v2/models/churn/infer", requestOf("input-0 [2,6] FP32 ["+strings.Join(flat, ",")+"]"))
	for name, body := range map[string]string{
		"nested": requestOf("input-0 [2,6] FP64 [" + strings.Join(arrays, ",") + "]"), "columns": requestOf(columns...),
	} {
		if status, got := do(t, h, "POST", "/v2/models/churn/infer", body); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", name, status, got, want)
		}
	}
	_, data, _ := strings.Cut(want, `"data":`)
	want = `{"predictions":` + strings.TrimSuffix(data, "}]}") + `,"model_version":"m-2"}`
	for _, body := range []string{
		`{"instances":[` + strings.Join(arrays, ",") + `]}`, `{"inputs":[` + strings.Join(arrays, ",") + `]}`,
		`{"instances":[` + strings.Join(objects, ",") + `]}`, `{"instances":[` + arrays[0] + "," + objects[1] + `]}`,
	} {
		if status, got := do(t, h, "POST", "/v1/models/churn:predict", body); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", body, status, got, want)
		}
	}
}
