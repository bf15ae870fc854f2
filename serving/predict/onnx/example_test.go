package onnx_test

import (
	"fmt"
	"os"

	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

// A forest that scikit-learn trained, as skl2onnx writes it: a row goes in, a label
// and probabilities come out.
func Example() {
	file, err := os.ReadFile("testdata/sklearn/forest-multiclass.onnx")
	if err != nil {
		panic(err)
	}
	model, err := onnx.Read(file)
	if err != nil {
		panic(err)
	}
	row, err := onnx.NewTensor([]float32{0.1, 0.2, 0.3, 0.4, 0.5}, 1, 5)
	if err != nil {
		panic(err)
	}
	outputs, err := model.Run([]*onnx.Tensor{row})
	if err != nil {
		panic(err)
	}
	names := onnx.Values[string](model.Outputs()[1].Labels)
	fmt.Println(onnx.Values[string](outputs[0]), names, len(onnx.Values[float32](outputs[1])))
	// Output: [middle] [high low middle] 3
}
