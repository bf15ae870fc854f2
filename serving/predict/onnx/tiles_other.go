//go:build !amd64

package onnx

// bestTiler is what this processor does fastest.
func bestTiler() tiler { return plainTiler() }
