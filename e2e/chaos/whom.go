package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// who returns the node that s means.
func (r *runner) who(ctx context.Context, s Step) (string, error) {
	awake := slices.DeleteFunc(slices.Clone(r.up), func(n string) bool { _, ok := r.frozen[n]; return ok })
	switch {
	case s.HolderOf != "":
		l, ok := r.fleet.(Locator)
		if !ok {
			return "", errors.New("this fleet cannot tell who holds a key")
		}
		var key int
		_, _ = fmt.Sscanf(s.HolderOf, "k%d", &key) // the plan was checked
		holders, err := l.Holders(ctx, []Check{r.load.check(key)}, "")
		if err != nil {
			return "", fmt.Errorf("holder of %s: %w", s.HolderOf, err)
		}
		if !slices.Contains(r.up, holders[0]) {
			return "", fmt.Errorf("holder of %s is %q, which is not up", s.HolderOf, holders[0])
		}
		return holders[0], nil
	case s.Node == Any && len(awake) == 0:
		return "", errors.New("no node is awake")
	case s.Node == Any:
		return awake[r.pick.IntN(len(awake))], nil
	case !slices.Contains(r.up, s.Node):
		return "", fmt.Errorf("%s is not up", s.Node)
	}
	return s.Node, nil
}

// maxAsked is the most keys whose holders are asked for before a kill: a kill must not wait long for answers that are old
// by then.
const maxAsked = 50_000

// keysOf returns which keys the node holds, nil with the reason if that cannot be told.
func (r *runner) keysOf(ctx context.Context, node string) (hit []bool, why string) {
	l, ok := r.fleet.(Locator)
	if !ok || r.plan.Keys > maxAsked {
		return nil, "who held which key is not known: taken for the holder of all"
	}
	checks := make([]Check, r.plan.Keys)
	for i := range checks {
		checks[i] = r.load.check(i)
	}
	holders, err := l.Holders(ctx, checks, node)
	if err != nil {
		return nil, fmt.Sprintf("who held which key is not known, taken for the holder of all: %v", err)
	}
	hit = make([]bool, len(checks))
	for i, h := range holders {
		hit[i] = h == node || h == ""
	}
	return hit, ""
}
