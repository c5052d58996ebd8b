package main

import "fmt"

// typed are the traces that one person has typed.
var typed = []string{"rustcode", "sveltecomponent", "friendsforever_flat"}

// concurrent is a trace by two who typed at the same time.
const concurrent = "friendsforever.concurrent"

// measures are the rows of the table, and then some.
func (v *versus) measures() []*measure {
	var list []*measure
	for _, f := range []func(string) *measure{v.apply, v.load, v.history} {
		for _, trace := range typed {
			list = append(list, f(trace))
		}
	}
	list = append(list, v.merge())
	for _, f := range []func(string) *measure{v.bytes, v.heap} {
		for _, trace := range typed {
			list = append(list, f(trace))
		}
	}
	list = append(list, v.catchUp())
	for _, durable := range []bool{true, false} {
		for _, writers := range []int{1, 64} {
			list = append(list, v.put(writers, durable))
		}
	}
	return list
}

// rivals are the libraries in Node.js at one task.
func (v *versus) rivals(task, trace string, value func(result) float64, names ...string) []way {
	library := map[string]string{loro: "loro", yjs: "yjs", yjs2: "yjs2", automerge: "automerge"}
	var ways []way
	for _, n := range names {
		ways = append(ways, way{n, v.theirs(library[n], task, v.trace(trace)), value})
	}
	return ways
}

func (v *versus) apply(trace string) *measure {
	return &measure{
		name: "apply " + trace, what: "type " + trace + ", each edit a transaction", unit: "ms", text: v.trace(trace),
		ways: append([]way{
			{ours, v.own("apply", v.trace(trace)), milliseconds},
			{oursOnDisk, v.own("persist", v.trace(trace)), milliseconds},
		}, v.rivals("apply", trace, milliseconds, loro, yjs, automerge)...),
		goals: []goal{
			{"in memory", ours, loro, 0.25},
			{"signed, and on disk", oursOnDisk, loro, 1},
		},
	}
}

func (v *versus) load(trace string) *measure {
	return &measure{
		name: "load " + trace, what: "load " + trace + ", to its text", unit: "ms", text: v.trace(trace),
		ways: append([]way{{ours, v.own("load", v.trace(trace)), milliseconds}},
			v.rivals("load", trace, milliseconds, loro, yjs, yjs2, automerge)...),
		goals: []goal{{"", ours, loro, 0.5}},
	}
}

func (v *versus) history(trace string) *measure {
	return &measure{
		name: "history " + trace, what: "all history of " + trace + " into an empty document", unit: "ms", text: v.trace(trace),
		ways: append([]way{{ours, v.own("history", v.trace(trace)), milliseconds}},
			v.rivals("history", trace, milliseconds, loro, yjs, yjs2, automerge)...),
		goals: []goal{{"", ours, loro, 0.5}},
	}
}

func (v *versus) merge() *measure {
	return &measure{
		name: "merge " + concurrent, what: "merge what two have typed at once", unit: "ms", text: v.trace(concurrent),
		ways: append([]way{{ours, v.own("history", v.trace(concurrent)), milliseconds}},
			v.rivals("history", concurrent, milliseconds, loro, yjs, yjs2)...),
		goals: []goal{{"", ours, yjs, 2}, {"", ours, loro, 0.1}},
	}
}

func (v *versus) bytes(trace string) *measure {
	save := v.own("save", v.trace(trace))
	return &measure{
		name: "bytes " + trace, what: "bytes of " + trace + " with all history", unit: "kB", text: v.trace(trace), once: true,
		ways: append([]way{
			{ours, save, kilobytes},
			{oursOnDisk, save, func(r result) float64 { return float64(r.Disk) / 1e3 }},
			{oursFine, save, func(r result) float64 { return float64(r.Fine) / 1e3 }},
		}, v.rivals("save", trace, kilobytes, loro, yjs, yjs2, automerge)...),
		goals: []goal{
			{"as one bundle", ours, automerge, 1.2},
			{"in the database", oursOnDisk, automerge, 1.2},
			{"each edit a commit, as one bundle", oursFine, automerge, 1.2},
		},
	}
}

func (v *versus) heap(trace string) *measure {
	m := &measure{
		name: "heap " + trace, what: "memory of " + trace + ", loaded", unit: "kB", text: v.trace(trace),
		ways: append([]way{
			{oursAlone, v.own("alone", v.trace(trace)), heap},
			{ours, v.own("heap", v.trace(trace)), heap},
		}, v.rivals("heap", trace, heap, yjs, yjs2)...),
		goals: []goal{
			{"the document alone", oursAlone, yjs, 0.1},
			{"with its database", ours, yjs, 0.1},
		},
	}
	m.ways = append(m.ways, v.rivals("heap", trace, rss, loro, automerge)...)
	return m
}

func (v *versus) catchUp() *measure {
	return &measure{
		name: "catch up", what: fmt.Sprintf("catch up with %d commits, %s away", catchUpCommits, catchUpRTT), unit: "s",
		ways: []way{
			{ours, v.own("catchup", ours), seconds},
			{goDSCRDT, v.own("catchup", goDSCRDT), seconds},
		},
		goals: []goal{{"", ours, goDSCRDT, 1.0 / 50}},
	}
}

func (v *versus) put(writers int, durable bool) *measure {
	how := "put, not synced"
	if durable {
		how = "put, synced"
	}
	of := func(who, name string, writers, batch int) way {
		return way{name, v.own("put", puts{who, writers, batch, durable}.String()), rate}
	}
	m := &measure{
		name: fmt.Sprintf("%s, %d", how, writers), what: fmt.Sprintf("%s, writers: %d", how, writers), unit: "puts/s", more: true,
		ways:  []way{of(ours, ours, writers, 1), of(goDSCRDT, goDSCRDT, writers, 1)},
		goals: []goal{{"", ours, goDSCRDT, 2}},
	}
	if writers > 1 { // who has so many may have them take turns, or collect what they put
		m.ways = append(m.ways, of(goDSCRDT, goDSCRDT+" (in turn)", 1, 1), of(goDSCRDT, goDSCRDT+" (batches)", 1, writers))
	}
	return m
}
