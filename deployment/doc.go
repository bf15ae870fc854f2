// Package deployment is the vocabulary of Slipway: what a deployment and a
// model are, which states they can be in, and what a decision about them looks
// like. It is pure: it imports nothing but the standard library, reads no clock
// and talks to nobody. Everything else in the module implements what is said
// here.
package deployment
