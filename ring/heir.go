package ring

import (
	"fmt"
	"slices"
)

// Without returns the table that t's members without m would have. A node that asks for the table without itself finds
// there the heir of each partition that it holds as the target:
//
//	w, err := b.Without(t, self)
//	heir := w.Target(p) // where t.Target(p) is self
//
// t must come from a Builder with the same Params, which need not be b; otherwise the error says so. If m is not in t the
// result is t. It costs one leave, and the next call of Table one join more; the same call again costs nothing. Like
// Table it may fail for members that collide only if t is from elsewhere.
func (b *Builder) Without(t *Table, m Member) (*Table, error) {
	if t.params != b.params {
		return nil, fmt.Errorf("table was built with %q, want %q as its builder has", t.params, b.params)
	}
	i, found := t.Index(m)
	if !found {
		return t, nil
	}
	if b.without.of == t && b.without.gone == m {
		return b.without.made, nil
	}
	made, err := b.build(slices.Delete(slices.Clone(t.members), i, i+1))
	if err != nil {
		return nil, fmt.Errorf("ring without %q: %w", string(m), err)
	}
	b.without.of, b.without.gone, b.without.made = t, m, made
	return made, nil
}

// Heir returns who would be the target of p were its target gone, "" if t has one member or none.
//
// It costs what Without(t, t.Target(p)) costs, nothing if that was the last such call: whoever asks for many partitions
// asks for those of one target after the other. Heirs are not read off the circle, because a member at its bound passes
// partitions on: who is gone changes the way of others.
func (b *Builder) Heir(t *Table, p Partition) (Member, error) {
	w, err := b.Without(t, t.Target(p))
	if err != nil {
		return "", err
	}
	return w.Target(p), nil
}
