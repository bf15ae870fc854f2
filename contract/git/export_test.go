package git

import "net/netip"

// IsPrivate is isPrivate, for tests.
func IsPrivate(a netip.Addr) bool { return isPrivate(a.Unmap()) }

// Recode decodes a tree and encodes it again, if it is one.
func Recode(data []byte) ([]byte, bool) {
	entries, err := decodeTree(data)
	return encodeTree(entries), err == nil
}
