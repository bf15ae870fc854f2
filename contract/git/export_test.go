package git

import "bytes"

// Unpack takes a pack of so many bytes at most.
func Unpack(dir string, pack []byte, most int64) error {
	objects, err := (&Repositories{Dir: dir, MaxBytes: most}).unpack(bytes.NewReader(pack))
	if err != nil {
		return err
	}
	return objects.Close()
}

// Recode decodes a tree and encodes it again, if it is one.
func Recode(data []byte) ([]byte, bool) {
	entries, err := decodeTree(data)
	return encodeTree(entries), err == nil
}
