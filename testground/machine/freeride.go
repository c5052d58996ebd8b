package machine

import (
	"fmt"
	"time"
)

// freeRide: some take and hardly give, or worse.
var freeRide = Scenario{
	Name: "free-riders", Doc: "a flash crowd in which some hardly give", Peers: 64,
	TimeMax: 4 * time.Hour,
	Params: append([]Param{
		{"riders", "0.25", "share of the peers"},
		{"gives", "64kbit", "uplink of a rider"},
		{"manner", "honest", "of a rider: honest, greedy (answers nobody), boaster (promises all, sends nothing), corrupt (sends other bytes)"},
	}, contentParams...),
	Play: playFreeRide,
}

func playFreeRide(r *Run) error {
	size, gives := r.int("size"), r.rate("gives")
	m, known := map[string]Manner{"honest": Honest, "greedy": Greedy, "boaster": Boaster, "corrupt": Corrupt}[r.text("manner")]
	if !known {
		return fmt.Errorf("parameter manner: %q is not honest, greedy, boaster or corrupt", r.text("manner"))
	}
	first := r.Peers - int(r.share("riders")*float64(r.Peers))
	peers := r.populate(func(number int) Manner {
		if number >= first {
			return m
		}
		return Honest
	})
	for _, p := range peers[first:] {
		l := p.Line()
		l.Up = gives
		p.SetLine(l)
	}
	if err := r.connect(r.int("degree")); err != nil || r.err != nil {
		return err
	}
	c, err := r.add(peers[0], size)
	if err != nil {
		return err
	}
	within := 20*time.Minute + 20*crowdBound(size, len(peers), r.rate("uplink"), r.rate("downlink"))
	return r.fetchAll(peers[1:], c, within, func(p *Peer) string {
		if p.number >= first {
			return "rider_completion_time_s"
		}
		return "completion_time_s"
	})
}
