package machine

import (
	"fmt"
	"time"

	"github.com/p2pnode/p2pnode/exchange/swap"
)

// partition: the network falls in two and is mended.
var partition = Scenario{
	Name: "partition", Doc: "the network falls in two, and is mended", Peers: 40,
	TimeMax: 4 * time.Hour,
	Params: append([]Param{
		{"cut", "90s", "how long it is in two"},
		{"way", "hold", "hold: what is sent waits; drop: connections end at once"},
	}, contentParams...),
	Play: playPartition,
}

// answerTime is within what everybody must have heard, be it that something cannot
// be had.
const answerTime = 2 * time.Minute

func playPartition(r *Run) error {
	w, cut, size := r.World, r.duration("cut"), r.int("size")
	way, known := map[string]Cut{"hold": Hold, "drop": Drop}[r.text("way")]
	if !known {
		return fmt.Errorf("parameter way: %q is not hold or drop", r.text("way"))
	}
	peers := r.populate(nil)
	here, there := peers[:len(peers)/2], peers[len(peers)/2:]
	for _, p := range there {
		p.SetGroup(1)
	}
	if err := r.connect(r.int("degree")); err != nil || r.err != nil {
		return err
	}
	before, err := r.add(there[0], size)
	if err != nil {
		return err
	}
	began := w.Now()
	w.SetCut(0, 1, way)
	during, err := r.add(here[0], size)
	if err != nil {
		return err
	}
	// On one's own side all goes on; across there is an answer, be it no.
	across := ExchangeOf(here[len(here)-1]).Fetch(before.Cids()[:1], answerTime+cut, nil)
	if err := r.fetchAll(here[1:len(here)-1], during, 30*time.Minute, func(*Peer) string { return "fetch_in_cut_s" }); err != nil {
		return err
	}
	if err := r.wait(cut - min(cut, w.Now()-began)); err != nil {
		return err
	}
	w.SetCut(0, 1, Open)
	if err := r.until("an answer across the cut", answerTime, across.Over); err != nil {
		return err
	}
	if across.Failed > 0 && across.Phases[swap.PhaseNoPeers] > 0 {
		return fmt.Errorf("partition: the answer across is %v, with peers connected", across.Phases)
	}
	r.measured("answer_across_s", across)
	for _, p := range here {
		r.reconnect(p)
	}
	if err := r.wait(time.Second); err != nil {
		return err
	}
	series := func(*Peer) string { return "fetch_after_s" }
	if err := r.fetchAll(there, during, 30*time.Minute, series); err != nil {
		return err
	}
	return r.fetchAll(here, before, 30*time.Minute, series)
}
