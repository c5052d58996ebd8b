package crdt

import (
	"cmp"
	"maps"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/causal"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// history is the commits of a document, without what they did: who made each after which,
// and who had which role when. It knows commits, and authors, by their numbers.
type history struct {
	graph   causal.Graph
	ids     []commit.ID
	index   map[commit.ID]int // numbers of the first commits
	indexed int               // how many
	gens    []uint32
	author  []int32 // of each commit
	last    []int   // commit of each author
	authors []commit.Author
	known   map[commit.Author]int32
	grants  map[commit.Author][]grant
	roles   map[commit.Author]commit.Role // now, of authors with grants, as far as they were asked for
	removed []grant                       // those after which the author may not write
	undos   map[int][]int                 // what commits undo, all by the author of the commit
	skipped []int                         // commits without effect in the end

	base     *base      // as which it begins, or nil
	floor    int        // the horizon in effect, or -1
	horizons []*horizon // that may come into effect
}

// grant says that an author has a role from a commit on.
type grant struct {
	commit, index int // index of the operation among those without an object
	author        commit.Author
	role          commit.Role
}

func newHistory() *history {
	return &history{
		index:  make(map[commit.ID]int),
		known:  make(map[commit.Author]int32),
		grants: make(map[commit.Author][]grant),
		roles:  make(map[commit.Author]commit.Role),
		undos:  make(map[int][]int),
		floor:  -1,
	}
}

// add adds a commit, of which the ID may be unknown yet, and returns its number.
func (h *history) add(author commit.Author, parents []int) int {
	gen := uint32(0)
	for _, p := range parents {
		gen = max(gen, h.gens[p])
	}
	a, ok := h.known[author]
	if !ok {
		a = int32(len(h.authors))
		h.known[author] = a
		h.authors = append(h.authors, author)
		h.last = append(h.last, -1)
	}
	h.ids = append(h.ids, commit.ID{})
	h.gens = append(h.gens, gen+1)
	h.author = append(h.author, a)
	n := h.graph.Add(parents...)
	h.last[a] = n
	return n
}

// fork is a commit that the author made before and a commit with these parents does not
// follow, or -1: nobody should have two histories.
func (h *history) fork(author commit.Author, parents []int) int {
	a, ok := h.known[author]
	if !ok || h.graph.Contains(parents, h.last[a]) {
		return -1
	}
	return h.last[a]
}

// name tells the ID of commit n.
func (h *history) name(n int, id commit.ID) {
	h.ids[n] = id
	h.index[id] = n
}

// number is that of a commit. The index of a history that was restored is made when it is
// asked for the first time.
func (h *history) number(id commit.ID) (n int, ok bool) {
	for ; h.indexed < len(h.ids); h.indexed++ {
		if id := h.ids[h.indexed]; id != (commit.ID{}) {
			h.index[id] = h.indexed
		}
	}
	n, ok = h.index[id]
	return n, ok
}

func (h *history) authorOf(n int) commit.Author { return h.authors[h.author[n]] }

// Before orders concurrent insertions at one place in a text or list: by author, and those
// of one author who has forked by ID.
func (h *history) Before(a, b int) bool {
	x, y := h.authorOf(a), h.authorOf(b)
	return cmp.Or(slices.Compare(x[:], y[:]), h.ids[a].Compare(h.ids[b])) < 0
}

// beats tells whether commit a wins over a concurrent b: by gen, author and ID. A liar can
// win such a race, but not for long, as whoever has seen the liar's commit wins over it.
func (h *history) beats(a, b int) bool {
	x, y := h.authorOf(a), h.authorOf(b)
	return cmp.Or(cmp.Compare(h.gens[a], h.gens[b]), slices.Compare(x[:], y[:]), h.ids[a].Compare(h.ids[b])) > 0
}

// Voids tells whether any commit may be void.
func (h *history) Voids() bool { return len(h.removed)+len(h.skipped) > 0 }

// Void lists the commits of a version that an author has made who was removed at the same
// time, as far as the version knows. They keep their place, as others may have built on them.
func (h *history) Void(version []int) []int {
	var void []int
	for _, r := range h.removed {
		if !h.graph.Contains(version, r.commit) {
			continue
		}
		unseen, _ := h.graph.Diff(version, []int{r.commit})
		for _, s := range unseen {
			for c := s.First; c < s.End; c++ {
				if h.authorOf(c) == r.author && !h.graph.Contains([]int{c}, r.commit) {
					void = append(void, c)
				}
			}
		}
	}
	if slices.Equal(version, h.graph.Heads()) {
		void = append(void, h.skipped...) // whoever followed them has seen what they did
	}
	slices.Sort(void)
	return slices.Compact(void)
}

// isVoid tells whether commit c is void in the version.
func (h *history) isVoid(version []int, c int) bool {
	author := h.authorOf(c)
	return slices.ContainsFunc(h.removed, func(r grant) bool {
		return r.author == author && h.graph.Contains(version, r.commit) &&
			!h.graph.Contains([]int{r.commit}, c) && !h.graph.Contains([]int{c}, r.commit)
	})
}

// role is what an author may do as of a version: of the grants that no later one replaces,
// the least. Grants by those who were removed meanwhile are void, removals are not: two who
// remove each other are both removed.
func (h *history) role(author commit.Author, version []int) commit.Role {
	var valid []grant
	for _, g := range h.grants[author] {
		if h.graph.Contains(version, g.commit) && (g.role < commit.Write || !h.isVoid(version, g.commit)) {
			valid = append(valid, g)
		}
	}
	role, found := commit.None, false
	for _, g := range valid {
		replaced := slices.ContainsFunc(valid, func(o grant) bool {
			if o.commit == g.commit {
				return o.index > g.index
			}
			return h.graph.Contains([]int{o.commit}, g.commit)
		})
		if !replaced && (!found || g.role < role) {
			role, found = g.role, true
		}
	}
	return role
}

// roleNow is what an author may do as of the version that holds every commit. It changes with
// grants alone: which of them come before which stays as it is, whatever is added.
func (h *history) roleNow(author commit.Author) commit.Role {
	role, ok := h.roles[author]
	if !ok && len(h.grants[author]) > 0 {
		role = h.role(author, h.graph.Heads())
		h.roles[author] = role
	}
	return role
}

// grant notes a grant. One that removes an author makes grants by that author void.
func (h *history) grant(g grant) {
	clear(h.roles)
	h.grants[g.author] = append(h.grants[g.author], g)
	if g.role < commit.Write && g.commit > 0 { // nothing is concurrent to the first commit
		h.removed = append(h.removed, g)
	}
}

// undo notes that commit n undoes one with this ID, if that is an older one by the same author, or
// one before the base.
func (h *history) undo(n int, id commit.ID) {
	t, ok := h.number(id)
	if ok && t != n && h.author[t] == h.author[n] && h.graph.Contains([]int{n}, t) {
		h.undos[n] = append(h.undos[n], t)
	} else if !ok && h.base != nil && h.undos[n] == nil {
		h.undos[n] = []int{}
	}
}

// undone are the commits that are undone by one that is not.
func (h *history) undone() map[int]bool {
	undone := make(map[int]bool)
	for _, u := range slices.Backward(slices.Sorted(maps.Keys(h.undos))) {
		if undone[u] {
			continue
		}
		for _, t := range h.undos[u] {
			undone[t] = true
		}
	}
	return undone
}

// by are the commits of an author, the newest last.
func (h *history) by(author commit.Author) []int {
	var list []int
	for n := range h.graph.Len() {
		if h.authorOf(n) == author {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b int) int {
		if h.beats(a, b) {
			return 1
		}
		return -1
	})
	return list
}

// main is that of the commits through which the longest chain goes, or -1.
func (h *history) main(parents []int) int {
	best := -1
	for _, p := range parents {
		if best < 0 || h.gens[p] > h.gens[best] || h.gens[p] == h.gens[best] && h.ids[p].Compare(h.ids[best]) < 0 {
			best = p
		}
	}
	return best
}

// refs are the IDs to which a commit with these parents must refer: see commit.Refs.
func (h *history) refs(parents []int) []commit.ID {
	at := h.main(parents)
	if at < 0 {
		return nil
	}
	gen := h.gens[at] + 1
	var refs []commit.ID
	for _, back := range commit.Refs(uint64(gen)) {
		n, id := h.back(at, gen-uint32(back))
		if n >= 0 {
			at = n
		}
		refs = append(refs, id)
	}
	return refs
}

// byID sorts commits by their IDs.
func (h *history) byID(commits []int) []int {
	return slices.SortedFunc(slices.Values(commits), func(a, b int) int { return h.ids[a].Compare(h.ids[b]) })
}

// numbered are the numbers of IDs, ascending. ok is false if one is not there.
func (h *history) numbered(ids []commit.ID) (version []int, ok bool) {
	for _, id := range ids {
		n, ok := h.number(id)
		if !ok {
			return nil, false
		}
		version = append(version, n)
	}
	slices.Sort(version)
	return version, true
}
