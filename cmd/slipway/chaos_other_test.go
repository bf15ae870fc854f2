//go:build !linux

package main

import "syscall"

// dieWithParent: only Linux can be asked for that. Elsewhere the children of a
// test that is killed have to be ended by hand.
func dieWithParent() *syscall.SysProcAttr { return nil }
