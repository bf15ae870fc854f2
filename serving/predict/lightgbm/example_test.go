package lightgbm_test

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/slipway-ml/slipway/serving/predict/lightgbm"
)

// Read a model that Python saved, and answer two rows at once. Missing values are NaN.
func Example() {
	file, err := os.ReadFile("testdata/4.7.0/binary.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := lightgbm.Read(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Objective(), model.NumFeatures(), "features", model.NumTrees(), "trees")

	rows := []float64{
		-1.5, 0.2, math.NaN(), 0, 1,
		2.5, 0.2, 0.3, math.NaN(), 1,
	}
	answers := make([]float64, 2*model.NumOutputs())
	if err := model.Predict(answers, rows); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n", answers)
	// Output:
	// binary 5 features 4 trees
	// [0.1535 0.8111]
}

// What cannot be answered is refused when the model is read, with what to do instead.
func ExampleRead_unsupported() {
	_, err := lightgbm.Read([]byte(`{"name":"tree","version":"v4"}`))
	if unsupported, ok := errors.AsType[*lightgbm.UnsupportedError](err); ok {
		for _, feature := range unsupported.Features {
			fmt.Println(feature.Advice)
		}
	}
	// Output: save the model with Booster.save_model("model.txt")
}
