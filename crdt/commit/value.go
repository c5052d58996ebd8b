package commit

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Values are written as a byte and what it needs:
//
//	0 null   1 false   2 true
//	3 integer: zigzag varint
//	4 real: 8 bytes, big-endian IEEE 754; not NaN, of which there are many
//	5 string: length, UTF-8
//	6 bytes: length, bytes
//
// Equal values have equal bytes, so that sets can compare them.
const (
	valueNull = iota
	valueFalse
	valueTrue
	valueInt
	valueReal
	valueString
	valueBytes
)

// AppendValue appends a value: nil, bool, int, int64, float64, string or []byte.
func AppendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, valueNull), nil
	case bool:
		if v {
			return append(b, valueTrue), nil
		}
		return append(b, valueFalse), nil
	case int:
		return binary.AppendVarint(append(b, valueInt), int64(v)), nil
	case int64:
		return binary.AppendVarint(append(b, valueInt), v), nil
	case float64:
		if math.IsNaN(v) {
			return b, fmt.Errorf("encode NaN: %w", ErrMalformed)
		}
		if v == 0 {
			v = 0 // there is no negative zero
		}
		return binary.BigEndian.AppendUint64(append(b, valueReal), math.Float64bits(v)), nil
	case string:
		if !utf8.ValidString(v) {
			return b, fmt.Errorf("encode a string that is not UTF-8: %w", ErrMalformed)
		}
		b = binary.AppendUvarint(append(b, valueString), uint64(len(v)))
		return append(b, v...), nil
	case []byte:
		b = binary.AppendUvarint(append(b, valueBytes), uint64(len(v)))
		return append(b, v...), nil
	}
	return b, fmt.Errorf("encode a value of type %T: %w", v, ErrMalformed)
}

// Value is the value that the bytes, which AppendValue or ParseOps must have accepted, say:
// nil, bool, int64, float64, string or []byte.
func Value(data []byte) any {
	switch data[0] {
	case valueFalse:
		return false
	case valueTrue:
		return true
	case valueInt:
		n, _ := binary.Varint(data[1:])
		return n
	case valueReal:
		return math.Float64frombits(binary.BigEndian.Uint64(data[1:]))
	case valueString, valueBytes:
		_, size := binary.Uvarint(data[1:])
		if data[0] == valueString {
			return string(data[1+size:])
		}
		return append([]byte{}, data[1+size:]...)
	}
	return nil
}

// Bytes is the value that data says, if that is a []byte. It is a part of data.
func Bytes(data string) (s string, ok bool) {
	if data[0] != valueBytes {
		return "", false
	}
	at := 1
	for data[at] >= 0x80 { // of its length
		at++
	}
	return data[at+1:], true
}

// IsValue tells whether the bytes are those of one value.
func IsValue(data []byte) bool { return len(data) > 0 && valueSize(data) == len(data) }

// Values cuts the data of a list's insertion into values.
func Values(data []byte) [][]byte {
	var values [][]byte
	for len(data) > 0 {
		n := valueSize(data)
		values = append(values, data[:n:n])
		data = data[n:]
	}
	return values
}

// valueSize is how many bytes the value has with which data begins, or 0 if that is none.
func valueSize(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	switch data[0] {
	case valueNull, valueFalse, valueTrue:
		return 1
	case valueReal:
		if len(data) < 9 {
			return 0
		}
		bits := binary.BigEndian.Uint64(data[1:])
		if f := math.Float64frombits(bits); math.IsNaN(f) || f == 0 && bits != 0 {
			return 0
		}
		return 9
	case valueInt, valueString, valueBytes:
		n, size := binary.Uvarint(data[1:])
		if size <= 0 || size > 1 && data[size] == 0 {
			return 0
		}
		if data[0] == valueInt {
			return 1 + size
		}
		text := data[1+size:]
		if n > uint64(len(text)) || data[0] == valueString && !utf8.Valid(text[:n]) {
			return 0
		}
		return 1 + size + int(n)
	}
	return 0
}
