package bucket

// Decisions answer an all-or-nothing check, one for each of its requests in their order. If one is not allowed nothing
// was taken for any of them.
type Decisions []Decision

// Allowed says whether every request was allowed, and so the tokens of all were taken. It is true of no requests.
func (ds Decisions) Allowed() bool { return ds.DeniedBy() < 0 }

// DeniedBy returns the index of the first request that was not allowed, -1 if there is none.
func (ds Decisions) DeniedBy() int {
	for i := range ds {
		if !ds[i].Allowed {
			return i
		}
	}
	return -1
}
