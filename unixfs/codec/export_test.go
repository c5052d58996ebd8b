package codec

// RecodePB decodes a dag-pb block and encodes it again.
func RecodePB(b []byte) ([]byte, error) {
	links, data, err := decodePB(b)
	if err != nil {
		return nil, err
	}
	return encodePB(links, data), nil
}

// RecodeMessage decodes a UnixFS message and encodes it again.
func RecodeMessage(b []byte) ([]byte, error) {
	n, err := decodeMessage(b)
	if err != nil {
		return nil, err
	}
	return n.message(), nil
}
