package machine

import (
	"fmt"
	"time"
)

// slow: most of those who have a file are slow.
var slow = Scenario{
	Name: "slow-peers", Doc: "a file's holders are slow, but for one", Peers: 12,
	TimeMax: time.Hour,
	Params: []Param{
		{"slow", "256kbit", "uplink of the slow holders"},
		{"size", "8388608", "bytes of the file"},
		{"block", "262144", "bytes of a block"},
	},
	Play: playSlow,
}

func playSlow(r *Run) error {
	up, size := r.rate("slow"), r.int("size")
	peers := r.populate(nil)
	c, err := r.add(peers[0], size)
	if err != nil || r.err != nil {
		return err
	}
	reader, line := peers[len(peers)-1], r.line()
	for _, p := range peers[:len(peers)-1] {
		ExchangeOf(p).Keep(c...)
		if p != peers[0] {
			l := line
			l.Up = up
			p.SetLine(l)
		}
		r.World.Connect(p, reader)
	}
	if err := r.wait(time.Second); err != nil {
		return err
	}
	alone := duration(size, line.Up)
	if err := r.fetchAll([]*Peer{reader}, c, 10*time.Minute+20*alone, func(*Peer) string { return "fetch_time_s" }); err != nil {
		return err
	}
	took := r.Measure.Summarize("fetch_time_s").Max
	if line.Up > 0 && took > 3*alone.Seconds()+5 {
		return fmt.Errorf("slow-peers: %.1f s, where the fast holder alone takes %v", took, alone)
	}
	return nil
}
