package api

// appendString appends s as a structured field string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := len(b)
	b = appendName(b, s)
	return append(escapeString(b, start), '"')
}

// escapeString puts a backslash before the quotes and backslashes of b[start:].
func escapeString(b []byte, start int) []byte {
	for i := start; i < len(b); i++ {
		if b[i] == '"' || b[i] == '\\' {
			b = append(b, 0)
			copy(b[i+1:], b[i:])
			b[i] = '\\'
			i++
		}
	}
	return b
}

// appendName appends s in the bytes that every header carries: percent signs and what is not printable ASCII are
// percent-encoded. What does not fit in maxHeaderName bytes is cut off.
func appendName(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	if s == "" {
		s = "default"
	}
	most := len(b) + maxHeaderName
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '%' {
			if len(b)+3 > most {
				break
			}
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			if len(b) == most {
				break
			}
			b = append(b, c)
		}
	}
	return b
}
