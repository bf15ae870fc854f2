// Command compare times Predict on a model and rows that compare.py made, one row
// at a time and 256 at once, and writes the answers for it to check.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/serving/predict/xgboost"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(folder string) error {
	file, err := os.ReadFile(filepath.Join(folder, "model.ubj"))
	if err != nil {
		return err
	}
	begin := time.Now()
	model, err := xgboost.Read(file)
	if err != nil {
		return err
	}
	fmt.Printf("read_mb_per_s %.0f\n", float64(len(file))/1e6/time.Since(begin).Seconds())
	b, err := os.ReadFile(filepath.Join(folder, "rows.f32"))
	if err != nil {
		return err
	}
	rows := make([]float32, len(b)/4)
	for i := range rows {
		rows[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	features := model.NumFeatures()
	n := len(rows) / features
	answers := make([]float32, n)
	for _, size := range []int{1, 256} {
		var rounds []float64 // ns per row
		for range 9 {
			begin := time.Now()
			for at := 0; at+size <= n; at += size {
				if err := model.Predict(answers[at:at+size], rows[at*features:(at+size)*features]); err != nil {
					return err
				}
			}
			rounds = append(rounds, float64(time.Since(begin).Nanoseconds())/float64(n/size*size))
		}
		fmt.Printf("rows_%d %.0f\n", size, slices.Min(rounds))
	}
	out := make([]byte, 0, 4*n)
	for _, v := range answers {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return os.WriteFile(filepath.Join(folder, "answers.f32"), out, 0o600)
}
