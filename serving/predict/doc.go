// Package predict is the embedded prediction server. Server.Run follows the
// Desired entries of the serving bucket, keeps one model loaded per deployment
// and answers predictions over HTTP in the Open Inference Protocol v2 and the v1
// protocol before it (serving.md section 6). A model is replaced without a failed
// prediction: the new one is loaded and asked for predictions beside the old one,
// then a slot is switched, and requests that run on the old model end there
// (section 7).
//
// Start reading at Server.Run; follow.go is how models come and go, slot.go how
// they are switched, infer.go how one prediction is answered.
package predict
