package directio

// queue is bytes that are still to be written.
type queue [][]byte

// take removes the first n bytes.
func (q *queue) take(n int64) [][]byte {
	var out [][]byte
	for n > 0 {
		b := (*q)[0]
		if int64(len(b)) > n {
			(*q)[0] = b[n:]
			return append(out, b[:n])
		}
		out = append(out, b)
		n -= int64(len(b))
		*q = (*q)[1:]
	}
	return out
}

// copyTo moves bytes into p until it is full, and returns how many.
func (q *queue) copyTo(p []byte) int {
	n := 0
	for n < len(p) && len(*q) > 0 {
		c := copy(p[n:], (*q)[0])
		n += c
		if (*q)[0] = (*q)[0][c:]; len((*q)[0]) == 0 {
			*q = (*q)[1:]
		}
	}
	return n
}
