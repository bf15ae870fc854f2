package predict

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// input is a request with one tensor.
func input(shape, datatype, data string) string {
	return fmt.Sprintf(`{"inputs":[{"name":"x","shape":%s,"datatype":%q,"data":%s}]}`, shape, datatype, data)
}

var nan = math.NaN()

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body     string
		rows, features int
		values         []float64
	}{
		{"one row", input("[3]", "FP32", "[1,-2.5,3e2]"), 1, 3, []float64{1, -2.5, 300}},
		{"flat", input("[2,2]", "FP32", "[1,2,3,4]"), 2, 2, []float64{1, 2, 3, 4}},
		{"nested", input("[2,2]", "FP32", "[[1,2],[3,4]]"), 2, 2, []float64{1, 2, 3, 4}},
		{"missing", input("[1,3]", "FP32", "[[null,2,null]]"), 1, 3, []float64{nan, 2, nan}},
		{"space", " {\n\"inputs\" : [ { \"data\" : [ [ 1 , 2 ] ] , \"name\" : \"x\" , \"shape\" : [ 1 , 2 ] , \"datatype\" : \"FP32\" } ] } \r\n\t", 1, 2, []float64{1, 2}},
		{"escaped names", `{"\u0069nputs":[{"name":"x","sh\u0061pe":[1],"datatype":"FP3\u0032","data":[1]}]}`, 1, 1, []float64{1}},
		{"FP64", input("[2]", "FP64", "[0.1,16777217]"), 1, 2, []float64{0.1, 16777217}},
		{"FP32 is read as such", input("[1]", "FP32", "[1.00000017881393432617187499]"), 1, 1, []float64{float64(float32(1.0000001))}},
		{"FP16", input("[5]", "FP16", "[0.1,2049,-65504,6e-8,2e-8]"), 1, 5, []float64{0.0999755859375, 2048, -65504, 5.9604644775390625e-08, 0}},
		{"INT8", input("[3]", "INT8", "[-128,127,0]"), 1, 3, []float64{-128, 127, 0}},
		{"INT64", input("[2]", "INT64", "[-9223372036854775808,null]"), 1, 2, []float64{-9223372036854775808, nan}},
		{"UINT64", input("[1]", "UINT64", "[18446744073709551615]"), 1, 1, []float64{18446744073709551615}},
		{"BOOL", input("[5]", "BOOL", "[true,false,1,0,null]"), 1, 5, []float64{1, 0, 1, 0, nan}},
		{"extensions", `{"x":{"y":["]}",{}]},"inputs":[{"name":"x","parameters":{"a":"\"]"},"z":1,"shape":[1],"datatype":"FP32","data":[1]}]}`, 1, 1, []float64{1}},
		{"null for what is optional", `{"id":null,"parameters":null,"outputs":null,"inputs":[{"name":"x","parameters":null,"shape":[1],"datatype":"FP32","data":[1]}]}`, 1, 1, []float64{1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var q request
			if err := q.decode([]byte(test.body), nil); err != nil {
				t.Fatal(err)
			}
			if q.rows != test.rows || q.features != test.features || !slices.EqualFunc(q.values, test.values, sameFloat) {
				t.Errorf("got %d rows of %d: %v, want %d of %d: %v", q.rows, q.features, q.values, test.rows, test.features, test.values)
			}
		})
	}
}

// sameFloat also takes NaN for equal to itself.
func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, says string }{
		{"nothing", "", "expected an object, got the end"},
		{"array", "[]", "expected an object"},
		{"null", "null", "expected an object"},
		{"cut in the middle", `{"inputs":[{"name":"x"`, "ends within a value"},
		{"cut in a string", `{"inputs":[{"name":"x`, "ends within a string"},
		{"cut after the name", `{"inputs"`, "expected :"},
		{"cut after a value", `{"a":1`, "expected , or }"},
		{"no name", `{1:2}`, "name of a member"},
		{"trailing comma", `{"a":1,}`, "name of a member"},
		{"more", input("[1]", "FP32", "[1]") + "x", "more after the end"},
		{"not JSON within", `{"parameters":{"a":nul},"inputs":[]}`, "is not JSON"},
		{"control character in a name", "{\"a\x01\":1}", "name of a member"},
		{"twice", `{"inputs":[],"inputs":[]}`, "twice"},
		{"id", `{"id":1}`, "id: expected a string"},
		{"parameters", `{"parameters":[]}`, "parameters: expected an object"},
		{"parameter of another kind", `{"parameters":{"a":{}}}`, "parameters: a: expected text, a number, true or false"},
		{"parameters of an input", `{"inputs":[{"name":"x","parameters":{"a":[1]}}]}`, "a: expected text"},
		{"parameters that are not UTF-8", "{\"parameters\":{\"a\":\"\xff\"}}", "parameters: is not UTF-8"},
		{"no inputs", `{}`, "inputs: missing"},
		{"inputs of another kind", `{"inputs":{}}`, "inputs: expected an array"},
		{"no tensor", `{"inputs":[]}`, "inputs: expected one tensor, got none"},
		{"two tensors", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]},{"name":"y","shape":[1],"datatype":"FP32","data":[1]}]}`, "expected one tensor"},
		{"tensor of another kind", `{"inputs":[1]}`, "expected an object"},
		{"no name", `{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}`, "name: missing"},
		{"no shape", `{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}`, "x: shape: missing"},
		{"no datatype", `{"inputs":[{"name":"x","shape":[1],"data":[1]}]}`, "x: datatype: missing"},
		{"no data", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}`, "x: data: missing"},
		{"unknown output", `{"outputs":[{"name":"label"}],"inputs":[]}`, `outputs: no output "label", expected predict`},
		{"output without name", `{"outputs":[{}],"inputs":[]}`, "outputs: no output"},
		{"outputs of another kind", `{"outputs":"predict","inputs":[]}`, "outputs: expected an array"},

		{"no dimensions", input("[]", "FP32", "[1]"), "0 dimensions"},
		{"three dimensions", input("[1,1,1]", "FP32", "[1]"), "3 dimensions"},
		{"shape of another kind", input("1", "FP32", "[1]"), "shape: expected an array"},
		{"negative shape", input("[-1,2]", "FP32", "[1]"), "whole numbers"},
		{"fractional shape", input("[1.5]", "FP32", "[1]"), "whole numbers"},
		{"shape in words", input(`["1"]`, "FP32", "[1]"), "whole numbers"},
		{"leading zero in the shape", input("[01]", "FP32", "[1]"), "whole numbers"},
		{"huge shape", input("[99999999999]", "FP32", "[1]"), "whole numbers"},
		{"large product", input("[2147483647,2147483647]", "FP32", "[1]"), "expected the 4611686014132420609 values of the shape, got 1"},
		{"empty batch", input("[0,2]", "FP32", "[]"), "no values"},
		{"no features", input("[2,0]", "FP32", "[]"), "no values"},

		{"BYTES", input("[1]", "BYTES", `["a"]`), `datatype "BYTES": expected FP16, FP32`},
		{"datatype in lower case", input("[1]", "fp32", `[1]`), `datatype "fp32"`},
		{"string", input("[1]", "FP32", `["1"]`), "expected a number"},
		{"boolean as number", input("[1]", "FP32", `[true]`), "expected a number"},
		{"NaN", input("[1]", "FP32", `[NaN]`), `value 0: "NaN" at byte 61: expected a number, or null for a missing value`},
		{"leading zero", input("[1]", "FP32", `[01]`), "expected a number"},
		{"plus", input("[1]", "FP32", `[+1]`), "expected a number"},
		{"hexadecimal", input("[1]", "FP32", `[0x1]`), "expected a number"},
		{"underscore", input("[1]", "FP32", `[1_0]`), "expected a number"},
		{"no fraction", input("[1]", "FP32", `[1.]`), "expected a number"},
		{"no exponent", input("[1]", "FP32", `[1e]`), "expected a number"},
		{"minus alone", input("[1]", "FP32", `[-]`), "expected a number"},
		{"beyond FP16", input("[1]", "FP16", `[65520]`), "out of the range of the datatype"},
		{"beyond FP32 as FP16", input("[1]", "FP16", `[1e39]`), "out of the range of the datatype"},
		{"beyond FP32", input("[1]", "FP32", `[1e39]`), "out of the range of the datatype"},
		{"beyond FP64", input("[1]", "FP64", `[-1e309]`), "out of the range of the datatype"},
		{"beyond INT8", input("[1]", "INT8", `[128]`), "out of the range"},
		{"negative UINT8", input("[1]", "UINT8", `[-1]`), "out of the range"},
		{"fraction as INT32", input("[1]", "INT32", `[1.0]`), "whole number"},
		{"fraction as UINT32", input("[1]", "UINT32", `[1e2]`), "whole number"},
		{"two as BOOL", input("[1]", "BOOL", `[2]`), "expected true, false, 1 or 0"},

		{"data of another kind", input("[1]", "FP32", `1`), "data: expected an array"},
		{"data is an object", input("[1]", "FP32", `{}`), "data: expected an array"},
		{"too few", input("[1,3]", "FP32", `[1,2]`), "expected the 3 values of the shape, got 2"},
		{"too many", input("[1,3]", "FP32", `[1,2,3,4]`), "expected the 3 values of the shape, got 4"},
		{"none", input("[1]", "FP32", `[]`), "expected the 1 values of the shape, got 0"},
		{"nested in one dimension", input("[1]", "FP32", `[[1]]`), "nested"},
		{"nested too deep", input("[1,1]", "FP32", `[[[1]]]`), "expected a number"},
		{"short row", input("[2,2]", "FP32", `[[1,2],[3]]`), "row 1: expected the 2 values of the shape, got 1"},
		{"too few rows", input("[2,1]", "FP32", `[[1]]`), "expected the 2 rows of the shape, got 1"},
		{"ragged", input("[2,2]", "FP32", `[[1,2,3],[4]]`), "row 0: expected the 2 values"},
		{"number among rows", input("[2,1]", "FP32", `[[1],2]`), "row 1: expected an array"},
		{"row among numbers", input("[2,1]", "FP32", `[1,[2]]`), "expected a number"},
		{"comma missing", input("[2]", "FP32", `[1 2]`), "expected , or ]"},
		{"comma too many", input("[2]", "FP32", `[1,2,]`), "expected a number"},
		{"wrong bracket", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1}}]}`, "expected , or ]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var q request
			if err := q.decode([]byte(test.body), nil); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v, want %q", err, test.says)
			}
		})
	}
}

// FuzzDecode holds the decoder against encoding/json: what it takes is JSON and
// means the same there.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		input("[3]", "FP32", "[1,-2.5,3e2]"), input("[2,2]", "FP64", "[[1,null],[3,4]]"), input("[2]", "BOOL", "[true,0]"),
		`{"id":"1","outputs":[{"name":"predict","parameters":{}}],"inputs":[{"shape":[1],"datatype":"UINT8","data":[1],"name":"\u00e4"}]}`,
		`{"inputs":[{"name":"y","shape":[2,1],"datatype":"FP16","data":[[1],[2]]},{"name":"x","shape":[2],"datatype":"INT8","data":[3,4]}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1}}]}`, `{"a":"\\","b":[{}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var q request
		if q.decode(body, []string{"x", "y"}) == nil && (len(q.values) != q.rows*q.features || len(q.values) == 0) {
			t.Fatalf("by names: got %d values for %d rows of %d", len(q.values), q.rows, q.features)
		}
		if q.decode(body, nil) != nil {
			return
		}
		var want struct {
			ID     *string
			Inputs []struct {
				Name  string
				Shape []int
				Data  json.RawMessage
			}
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("took what is not a request: %v", err)
		}
		if len(q.values) != q.rows*q.features || len(q.values) == 0 {
			t.Fatalf("got %d values for %d rows of %d", len(q.values), q.rows, q.features)
		}
		if len(want.Inputs) != 1 { // encoding/json also takes members in another case
			return
		}
		if q.hasID && (want.ID == nil || *want.ID != q.id) {
			t.Fatalf("got id %q, want %v", q.id, want.ID)
		}
		var flat []any
		var nested [][]any
		if json.Unmarshal(want.Inputs[0].Data, &nested) == nil {
			flat = slices.Concat(nested...)
		} else if err := json.Unmarshal(want.Inputs[0].Data, &flat); err != nil {
			t.Fatal(err)
		}
		if len(flat) != len(q.values) {
			return // another "data" in another case
		}
		for i, v := range flat {
			if x, ok := v.(float64); ok && math.Abs(float64(q.values[i])-x) > 1e-6*math.Abs(x)+1e-45 {
				t.Fatalf("value %d: got %v, want %v", i, q.values[i], x)
			} else if v == nil && q.values[i] == q.values[i] {
				t.Fatalf("value %d: got %v, want NaN", i, q.values[i])
			}
		}
	})
}
