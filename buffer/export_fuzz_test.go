package buffer

// DecodeBlock decodes a stored block and returns its number and its records.
func DecodeBlock(stored []byte) (first uint64, records [][]byte, err error) {
	d, err := newDecoder()
	if err != nil {
		return 0, nil, err
	}
	defer d.close()
	var b block
	if err := d.decode(&b, stored); err != nil {
		return 0, nil, err
	}
	for i := range b.ends {
		start, end := b.bounds(i)
		records = append(records, b.raw[start:end])
	}
	return b.head.first, records, nil
}

// EncodeBlock makes a block of records as they lie in it: each behind its length.
func EncodeBlock(stream uint32, first uint64, count int, raw []byte) ([]byte, error) {
	e, err := newEncoder()
	if err != nil {
		return nil, err
	}
	return e.encode(stream, first, count, raw), nil
}

// CheckTree is the part of CheckFile that needs no bbolt. It returns how many
// records it found.
func CheckTree(path string) (records uint64, err error) {
	t, err := checkTree(path)
	return t.records, err
}

// Scan counts the records of the good blocks of a file, whatever became of its
// structure.
func Scan(path string) (records uint64, err error) {
	found, _, err := scan(path, 1, 0)
	for _, f := range found {
		records += uint64(f.head.count)
	}
	return records, err
}

// ParsePositions reads a slot and writes what it read again.
func ParsePositions(slot []byte) (again []byte, err error) {
	p, err := parsePositions(slot)
	if err != nil {
		return nil, err
	}
	return p.encode(), nil
}

const (
	BlockHeadSize = blockHeadSize
	MetaSize      = metaSize
)
