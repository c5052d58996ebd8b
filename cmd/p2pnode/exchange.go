package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/node"
)

// traffic is what was exchanged with a peer. Sizes are in bytes.
type traffic struct {
	Peer     string  `json:"peer"`
	BytesIn  int64   `json:"bytes_in"`
	BytesDup int64   `json:"bytes_dup"`
	BytesOut int64   `json:"bytes_out"`
	Rate     float64 `json:"rate"` // bytes/s that it delivers
	RTTNS    int64   `json:"rtt_ns"`
	Asked    int     `json:"asked"`
	Queued   int     `json:"queued"`
	State    string  `json:"state"`
	Swarm    bool    `json:"swarm"` // it speaks the swarm protocol
	// BlocksByName came by bitswap; their bytes are not counted by peer.
	BlocksByName int `json:"blocks_by_name"`
}

type exchanged struct {
	Limits node.Limits `json:"limits"`
	Peers  []traffic   `json:"peers"`
}

func statExchangeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "exchange",
		Short: "Print what was exchanged with which peer",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				st, err := b.Stat(cmd.Context())
				if err != nil {
					return err
				}
				all := exchanged{Peers: trafficOf(st)}
				if st.Exchange != nil {
					all.Limits = st.Exchange.Limits
				}
				return a.result(all, func() error { return a.printTraffic(all) })
			})
		},
	}
}

// trafficOf joins what is known of peers by name and by number, those first with whom most
// was exchanged.
func trafficOf(st node.Stats) []traffic {
	if st.Exchange == nil { // offline
		return []traffic{}
	}
	by := make(map[string]*traffic)
	of := func(id string) *traffic {
		if by[id] == nil {
			by[id] = &traffic{Peer: id}
		}
		return by[id]
	}
	for _, p := range st.Exchange.Table {
		t := of(p.Peer.String())
		t.BlocksByName, t.BytesOut, t.Rate, t.RTTNS = p.BlocksIn, p.BytesOut, p.Rate, int64(p.RTT)
		t.Asked, t.Queued = p.Asked, p.Queued
		if p.Stalled {
			t.State = "silent"
		}
	}
	for _, p := range st.Exchange.Members {
		t := of(p.Peer.String())
		t.Swarm = true
		t.BytesIn, t.BytesDup = p.BytesIn, p.BytesDup
		t.BytesOut += p.BytesOut
		t.Asked += p.Asked
		t.Queued += p.Queued
		t.Rate = max(t.Rate, p.Rate)
		t.RTTNS = cmp.Or(t.RTTNS, int64(p.RTT))
		switch {
		case p.Stalled:
			t.State = "silent"
		case p.Chokes:
			t.State = "chokes us"
		case p.Choked:
			t.State = "waits"
		}
	}
	list := make([]traffic, 0, len(by))
	for _, t := range by {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b traffic) int {
		return cmp.Or(cmp.Compare(b.BytesIn+b.BytesOut, a.BytesIn+a.BytesOut), cmp.Compare(b.BlocksByName, a.BlocksByName), strings.Compare(a.Peer, b.Peer))
	})
	return list
}

func (a *app) printTraffic(all exchanged) error {
	if text := limitsText(all.Limits); text != "" {
		if err := a.println("limits: " + text); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "in\ttwice\tby name\tout\tout ÷ in\trate\tround trip\t  peer")
	for _, t := range all.Peers {
		ratio := "–"
		if t.BytesIn > 0 {
			ratio = fmt.Sprintf("%.2f", float64(t.BytesOut)/float64(t.BytesIn))
		}
		name := t.Peer
		if t.State != "" {
			name += " (" + t.State + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s/s\t%v\t  %s\n", size(t.BytesIn), size(t.BytesDup), t.BlocksByName, size(t.BytesOut), ratio,
			size(int64(t.Rate)), time.Duration(t.RTTNS).Round(time.Millisecond/10), name)
	}
	return w.Flush()
}
