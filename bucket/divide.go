package bucket

import "math/bits"

// A divisor divides by a number that is known before: by a multiplication (Granlund and Montgomery, PLDI 1994, theorem
// 4.2), which is exact for all numbers from 0 to the largest int64. A decision divides twice; a division takes 35 to 90
// cycles on many servers (Intel before Ice Lake), and no more than this on newer ones.
type divisor struct {
	times uint64
	shift uint8
}

// divisorOf returns the divisor for by, 1 or more.
func divisorOf(by int64) divisor {
	shift := bits.Len64(uint64(by - 1)) // by <= 1<<shift
	if shift == 0 {
		return divisor{times: 1<<63 + 1}
	}
	times, _ := bits.Div64(1<<(shift-1), 0, uint64(by))
	return divisor{times: times + 1, shift: uint8(shift)}
}

// floor returns n / by for n of 0 or more.
func (d divisor) floor(n int64) int64 {
	hi, _ := bits.Mul64(uint64(n)<<1, d.times)
	return int64(hi >> (d.shift & 63))
}

// ceil returns n / by rounded up, for n of 1 or more.
func (d divisor) ceil(n int64) int64 { return d.floor(n-1) + 1 }
