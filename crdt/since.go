package crdt

import (
	"iter"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Since lists what is in the version of these heads and not in that of have, parents before
// children. Commits that are not here do not count.
func (d *Doc) Since(heads, have []commit.ID) []commit.ID {
	spans, _ := d.history.graph.Diff(d.here(heads), d.here(have))
	var list []commit.ID
	for _, s := range slices.Backward(spans) {
		if s.First == 0 && d.base != nil {
			s.First = 1 // what is before it is not here either
		}
		list = append(list, d.history.ids[s.First:s.End]...)
	}
	return list
}

// here is the version of those commits that are here.
func (d *Doc) here(ids []commit.ID) []int {
	var version []int
	for _, id := range ids {
		if n, ok := d.history.number(id); ok {
			version = append(version, n)
		}
	}
	slices.Sort(version)
	return slices.Compact(version)
}

// Landmarks are up to most commits from which somebody else can tell what is here: the heads,
// and those that were the heads when 1, 2, 4, 8 and so on fewer commits were here. Who knows
// the latter of some time, knows all that was here then; so of what came since, no more than
// as much again is sent twice. The horizon comes first, if there is one: who has forgotten what
// is before it knows by that whether this is needed here.
func (d *Doc) Landmarks(most int) []commit.ID {
	n := d.count()
	var list []commit.ID
	seen := make(map[int]bool)
	if floor := d.history.floor; floor >= 0 && most > 0 {
		seen[floor] = true
		list = append(list, d.history.ids[floor])
	}
	for back := 0; back < n; back = max(1, 2*back) {
		for _, c := range d.history.graph.Prefix(n - back) {
			if len(list) == most {
				return list
			}
			if !seen[c] {
				seen[c] = true
				list = append(list, d.history.ids[c])
			}
		}
	}
	return list
}

// count is how many commits were applied, the one with which a base begins included.
func (d *Doc) count() int {
	n := d.history.graph.Len()
	if d.open != nil {
		n--
	}
	return n
}

// Recent is how many commits are here that follow the horizon, or all if there is none: where the
// horizon is the same it can be compared, whoever has forgotten the others.
func (d *Doc) Recent() int { return d.count() - d.history.floor - 1 }

// Gens are the commits that follow the horizon, or all if there is none, and their gens, parents
// before children.
func (d *Doc) Gens() iter.Seq2[commit.ID, uint64] {
	return func(yield func(commit.ID, uint64) bool) {
		for n := d.history.floor + 1; n < d.count(); n++ {
			if !yield(d.history.ids[n], uint64(d.history.gens[n])) {
				return
			}
		}
	}
}

// Without are up to most commits from which can be told what is here besides the lacked ones:
// the newest of the others.
func (d *Doc) Without(lacked []commit.ID, most int) []commit.ID {
	older := make([]bool, d.count()) // than another that is not lacked
	without := make(map[int]bool, len(lacked))
	for _, n := range d.here(lacked) {
		without[n] = true
	}
	var list []commit.ID
	var parents []int
	for n := d.count() - 1; n >= 0 && len(list) < most; n-- {
		if without[n] {
			continue
		}
		if !older[n] {
			list = append(list, d.history.ids[n])
		}
		parents = d.history.graph.Parents(parents[:0], n)
		for _, p := range parents {
			older[p] = true
		}
	}
	return list
}

// AuthorOf is the author of a commit that was applied.
func (d *Doc) AuthorOf(id commit.ID) (a commit.Author, ok bool) {
	n, ok := d.history.number(id)
	if !ok {
		return a, false
	}
	return d.history.authorOf(n), true
}

// Members are the authors who have a role.
func (d *Doc) Members() map[commit.Author]commit.Role {
	members := make(map[commit.Author]commit.Role)
	for a := range d.history.grants {
		if role := d.Role(a); role > commit.None {
			members[a] = role
		}
	}
	return members
}
