package machine

import "time"

// manyWants: small blocks by the thousand, in no order, from several holders.
var manyWants = Scenario{
	Name: "many-wants", Doc: "thousands of small blocks, each held by some of many", Peers: 16,
	TimeMax: 2 * time.Hour,
	Params: []Param{
		{"wants", "4000", "blocks that each reader wants"},
		{"block", "4096", "bytes of a block"},
		{"copies", "3", "holders of each block"},
		{"readers", "2", "that want them all"},
		{"loss", "0.001", "share of packets; each costs a round trip"},
	},
	Play: playManyWants,
}

func playManyWants(r *Run) error {
	wants, copies, readers := r.int("wants"), r.int("copies"), r.int("readers")
	readers = min(max(readers, 1), r.Peers-1)
	peers := r.populate(nil)
	if r.err != nil {
		return nil
	}
	holders := peers[readers:]
	c := NewContent(r.World.rng, wants*r.int("block"), max(r.int("block"), 16))
	for i, b := range c {
		for range max(copies, 1) {
			o := holders[r.World.rng.IntN(len(holders))]
			ExchangeOf(o).Keep(b)
			if i == 0 {
				r.World.Provide(o, b.Cid())
			}
		}
	}
	for _, reader := range peers[:readers] {
		for _, o := range holders {
			r.World.Connect(reader, o)
		}
	}
	if err := r.wait(time.Second); err != nil {
		return err
	}
	return r.fetchAll(peers[:readers], c, 30*time.Minute, func(*Peer) string { return "fetch_time_s" })
}
