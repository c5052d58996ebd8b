package broken

import "slices"

// All lists the mistakes.
func All() []Bug {
	return slices.Concat(wantBugs(), blockBugs(), []Bug{
		mixed(Bug{
			Name: "journal-unwritten", Doc: "what a peer promises to provide is not written down",
			Edits: []Edit{{
				"dht/journal.go",
				"\treturn j.applyDurably(ctx, len(hashes), func(b *change, i int) error {\n\t\treturn b.put(ctx, todoKey(keyspace.Of(hashes[i])), hashes[i])\n\t})\n",
				"\treturn nil\n",
			}},
			Shows: "it provides 0 of",
		}),
		{
			Name: "slot-leaked", Doc: "the slot of a lookup is not given back when the lookup is over",
			Edits: []Edit{{
				"dht/gate.go",
				"\tcancel()\n\t<-g.slots\n\tg.mu.Lock()\n",
				"\tcancel()\n\tg.mu.Lock()\n",
			}},
			Scenario: "bootstrap", Peers: 12, Seed: 1, Set: map[string]string{"finds": "150"},
			Shows: "is not found as provider",
		},
		mixed(Bug{
			Name: "goroutine-leaked", Doc: "the routing table's goroutines go on when the node is closed",
			Edits: []Edit{{
				"dht/dht.go",
				"\td.gate.close()\n\treturn c.Close()\n",
				"\td.gate.close()\n\treturn nil\n",
			}},
			Shows: "goroutines remain",
		}),
		mixed(Bug{
			Name: "lease-ignored", Doc: "garbage collection takes what an add that runs has written",
			Seed: 3, Tries: 4,
			Edits: []Edit{{
				"node/guard.go",
				"\tfor l := range g.leases {\n\t\tif _, ok := l.written[key]; ok {\n\t\t\treturn true\n\t\t}\n\t}\n",
				"",
			}},
			Shows: "it has lost",
		}),
		mixed(Bug{
			Name: "pin-unwritten", Doc: "a pin is acknowledged and not written down",
			Edits: []Edit{{
				"node/pin.go",
				"\tif err := b.Commit(ctx); err != nil {\n\t\treturn err\n\t}\n\tp.sum = sum\n",
				"\tp.sum = sum\n",
			}},
			Shows: "pins",
		}),
		mixed(Bug{
			Name: "message-unjudged", Doc: "gossip is passed on, and handed out, without asking the topic's validator",
			Edits: []Edit{{
				"gossip/topic.go",
				"\tswitch t.validate(ctx, messageOf(m)) {\n",
				"\tswitch Accept {\n",
			}},
			Shows: "nobody honest has written",
		}),
		mixed(Bug{
			Name: "range-off-by-one", Doc: "the last byte of a part that begins a block is missing",
			Edits: []Edit{{
				"unixfs/grow.go",
				"\t\tif end >= c.p.to {",
				"\t\tif end+1 >= c.p.to {",
			}},
			Shows: "bytes [0-9]+ to [0-9]+",
		}),
	})
}

// Find returns the mistake of that name.
func Find(name string) (Bug, bool) {
	for _, b := range All() {
		if b.Name == name {
			return b, true
		}
	}
	return Bug{}, false
}
