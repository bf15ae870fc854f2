package main

import "syscall"

// dieWithParent makes the system kill a child when the thread that started it
// ends, and so when this process does, however that ends.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
