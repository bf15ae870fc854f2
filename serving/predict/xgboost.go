package predict

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving/predict/xgboost"
)

// readXGBoost is the runtime of deployment.FormatXGBoost.
func readXGBoost(file []byte) (Model, deployment.Inspection, error) {
	if start := bytes.TrimLeft(file[:min(len(file), 1024)], " \t\r\n"); !bytes.HasPrefix(start, []byte("{")) {
		return nil, deployment.Inspection{}, deployment.Reject(deployment.CodeArtifactInvalid, atArtifact,
			"artifact is not an xgboost model: expected JSON or UBJSON as Booster.save_model writes it; save a model of the old binary format again as .ubj, with an XGBoost before 3.1")
	}
	m, err := xgboost.Read(file)
	if err != nil {
		return nil, deployment.Inspection{}, rejected[*xgboost.UnsupportedError](err)
	}
	facts := deployment.Inspection{Objective: m.Objective(), Trees: m.NumTrees(), Warnings: m.Warnings()}
	facts.TargetTypes, facts.Classes = purpose(m)
	return &single{model: m}, facts, nil
}

// purpose is what the objective of an XGBoost model is for, and how many classes
// it tells apart, 0 if the file does not say: multi:softmax answers one of them.
func purpose(m *xgboost.Model) (types []deployment.TargetType, classes int) {
	objective := m.Objective()
	switch family, _, _ := strings.Cut(objective, ":"); {
	case objective == "reg:logistic": // fits shares as well as two classes
		return []deployment.TargetType{deployment.TargetRegression, deployment.TargetBinary}, 0
	case family == "binary" && m.NumOutputs() > 1: // one yes or no for each of several labels
		return []deployment.TargetType{deployment.TargetMulticlass}, m.NumOutputs()
	case family == "binary":
		return []deployment.TargetType{deployment.TargetBinary}, 2
	case objective == "multi:softprob":
		return []deployment.TargetType{deployment.TargetMulticlass}, m.NumOutputs()
	case family == "multi":
		return []deployment.TargetType{deployment.TargetMulticlass}, 0
	default: // reg, count, survival, rank
		return []deployment.TargetType{deployment.TargetRegression}, 0
	}
}

// single makes a Model of one that calculates in float32.
type single struct {
	model   *xgboost.Model
	buffers sync.Pool // of *narrow
}

// narrow is the memory of one prediction in float32.
type narrow struct{ dst, rows []float32 }

func (s *single) NumFeatures() int       { return s.model.NumFeatures() }
func (s *single) NumOutputs() int        { return s.model.NumOutputs() }
func (s *single) FeatureNames() []string { return s.model.FeatureNames() }
func (s *single) Datatype() string       { return fp32 }

func (s *single) NumNodes() int      { return s.model.NumNodes() }
func (s *single) MemoryBytes() int64 { return s.model.MemoryBytes() }

// Predict rounds the values to float32, as XGBoost does. A finite one that is
// beyond its range is a *rangeError.
func (s *single) Predict(dst, rows []float64) error {
	b, _ := s.buffers.Get().(*narrow)
	if b == nil {
		b = &narrow{}
	}
	b.rows = slices.Grow(b.rows[:0], len(rows))[:len(rows)]
	b.dst = slices.Grow(b.dst[:0], len(dst))[:len(dst)]
	for i, v := range rows {
		b.rows[i] = float32(v)
		if math.IsInf(float64(b.rows[i]), 0) && !math.IsInf(v, 0) {
			return &rangeError{index: i, value: v}
		}
	}
	if err := s.model.Predict(b.dst, b.rows); err != nil {
		return err
	}
	for i, v := range b.dst {
		dst[i] = float64(v)
	}
	if cap(b.rows) <= keepScratch/4 && cap(b.dst) <= keepScratch/4 {
		s.buffers.Put(b)
	}
	return nil
}

// rangeError is a value of a request that the model cannot calculate with.
type rangeError struct {
	index int // in the rows
	value float64
}

func (e *rangeError) Error() string {
	return fmt.Sprintf("%v is out of the range of FP32, in which the model calculates", e.value)
}
