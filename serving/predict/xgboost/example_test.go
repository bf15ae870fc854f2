package xgboost_test

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/slipway-ml/slipway/serving/predict/xgboost"
)

// Read a model that Python saved, and answer two rows at once. Missing values are NaN.
func Example() {
	file, err := os.ReadFile("testdata/3.2.0/binary-logistic.ubj")
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := xgboost.Read(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Objective(), model.NumFeatures(), "features", model.NumTrees(), "trees")

	missing := float32(math.NaN())
	rows := []float32{
		-1.5, 0.2, missing, 0, 1,
		2.5, 0.2, 0.3, missing, 1,
	}
	answers := make([]float32, 2*model.NumOutputs())
	if err := model.Predict(answers, rows); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n", answers)
	// Output:
	// binary:logistic 5 features 4 trees
	// [0.1047 0.8588]
}

// What cannot be answered is refused when the model is read, with what to do instead.
func ExampleRead_unsupported() {
	_, err := xgboost.Read([]byte("binf\x00\x00\x00\x3f"))
	if unsupported, ok := errors.AsType[*xgboost.UnsupportedError](err); ok {
		fmt.Println(unsupported.Advice)
	}
	// Output: load it with an XGBoost before 3.1 and save it again as .ubj
}
