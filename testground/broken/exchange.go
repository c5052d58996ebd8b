package broken

// mixed is the run by which most are found.
func mixed(b Bug) Bug {
	b.Scenario = "mixed-faults"
	if b.Peers == 0 {
		b.Peers = 14
	}
	if b.Seed == 0 {
		b.Seed = 1
	}
	return b
}

// wantBugs are mistakes in how blocks are asked for.
func wantBugs() []Bug {
	return []Bug{
		mixed(Bug{
			Name: "deadline-dropped", Doc: "a peer that was asked for a block, and keeps silent, is waited for as long as it is connected",
			Edits: []Edit{{
				"exchange/swap/stall.go",
				"\tm.alarms.Set(&r.check, due)\n}\n",
				"\tm.alarms.Stop(&r.check)\n}\n",
			}},
			Shows: "no answer",
		}),
		mixed(Bug{
			Name: "want-not-retried", Doc: "what a peer was asked for when it went away stays with it, and is asked of nobody else",
			Edits: []Edit{{
				"exchange/swap/remote.go",
				"\t\tm.release(w, r)\n\t\tw.forget(r)\n\t\tm.requeue(w)\n",
				"\t\tw.forget(r)\n",
			}},
			Shows: "no answer",
		}),
		mixed(Bug{
			Name: "have-for-ever", Doc: "who once said HAVE is taken to have the block, whatever it says later",
			Edits: []Edit{{
				"exchange/swap/receive.go",
				"\tif a.promised {\n\t\ta.vain++\n\t\tm.breach(r)\n\t}\n\tasked :=",
				"\tif a.promised {\n\t\tw.note(r, m.now, saidHave)\n\t\tr.useful(m.now)\n\t\tm.release(w, r)\n\t\tm.requeue(w)\n\t\treturn\n\t}\n\tasked :=",
			}},
			Shows: "no answer",
		}),
		mixed(Bug{
			Name: "cancel-lost", Doc: "peers are not told that a block is not wanted any more",
			Edits: []Edit{{
				"exchange/swap/want.go",
				"\t\tif a.r != from && a.keeps() {\n\t\t\tm.cancel(a.r, w.cid, a.again)\n\t\t}\n\t\tw.forget(a.r)\n",
				"\t\tw.forget(a.r)\n",
			}},
			Shows: "nobody fetches",
		}),
		mixed(Bug{
			Name: "old-wantlist", Doc: "a peer that comes back does not say that its wantlist is a new one",
			Seed: 8, Tries: 16,
			Edits: []Edit{{
				"exchange/swap/remote.go",
				"\tif s.Full {\n\t\tr.greeted, r.unsure = true, false\n\t\tm.outboxAll(r)\n\t}\n",
				"\tr.greeted, r.unsure, s.Full = true, false, false\n",
			}},
			Shows: "nobody fetches",
		}),
		mixed(Bug{
			Name: "dial-never-forgotten", Doc: "a provider that could not be dialled once is taken to be still being dialled",
			Seed: 4, Tries: 30,
			Edits: []Edit{{
				"exchange/swap/search.go",
				"\tdelete(m.dials, e.Peer)\n\tfor",
				"\tfor",
			}},
			Shows: "no answer",
		}),
	}
}

// blockBugs are mistakes in what becomes of blocks and of those who wait for them.
func blockBugs() []Bug {
	return []Bug{
		mixed(Bug{
			Name: "block-unverified", Doc: "bytes that came when one block was awaited are taken for that block",
			Edits: []Edit{
				{
					"block/block.go",
					"// Cid returns the name of the block.\n",
					"// As gives the bytes another name.\nfunc (b Block) As(c cid.Cid) Block { return Block{cid: c, data: b.data} }\n\n// Cid returns the name of the block.\n",
				},
				{
					"exchange/swap/receive.go",
					"\tw := m.wants[b.Cid()]\n\tif w == nil {\n\t\tif m.late",
					"\tw := m.wants[b.Cid()]\n\tif w == nil && len(r.assigned) == 1 {\n\t\tw = r.assigned[0]\n\t\tb = b.As(w.cid)\n\t}\n\tif w == nil {\n\t\tif m.late",
				},
			},
			Shows: "wrong bytes|which nobody has",
		}),
		mixed(Bug{
			Name: "wakeup-lost", Doc: "who stores blocks is not woken when there are some",
			Edits: []Edit{{
				"exchange/session.go",
				"\tselect {\n\tcase x.saves <- struct{}{}:\n\tdefault:\n\t}\n",
				"",
			}},
			Shows: "no answer|flush|blocks to store",
		}),
		mixed(Bug{
			Name: "queue-unbounded", Doc: "blocks stay in memory after they were stored",
			Edits: []Edit{{
				"exchange/save.go",
				"\t\tdelete(x.pending, b.Cid())\n",
				"",
			}},
			Shows: "blocks to store|pin .* is not complete", // what stays is found, and pinned, once the store has removed it
		}),
		mixed(Bug{
			Name: "session-leaked", Doc: "a fetch that is over is never ended",
			Edits: []Edit{{
				"exchange/session.go",
				"\tcontext.AfterFunc(ctx, s.close)\n",
				"",
			}},
			Shows: "sessions|no answer", // those that are left want what nobody needs, before what is needed
		}),
		mixed(Bug{
			Name: "stream-leaked", Doc: "each message opens a stream, and none is closed",
			Edits: []Edit{
				{"exchange/lane.go", "\ts := l.current()\n\tif s != nil {", "\tvar s *stream\n\tif s != nil {"},
				{"exchange/lane.go", "\t\treturn network.ErrReset\n\t}\n\tif l.open != nil {\n\t\tl.open.Reset()\n\t}\n", "\t\treturn network.ErrReset\n\t}\n"},
			},
			Shows: "streams|was not to be had", // or more than a peer accepts
		}),
	}
}
