// Package serving makes predictions be served. Local is the worker's side of
// the prediction servers that are part of Slipway: it writes what should be
// served (Desired), each server answers what it does about it (Observed), and
// they meet nowhere else. The server's side is in serving/predict. Start reading
// at Local.Apply and Local.Stop, and at next for the rules.
package serving
