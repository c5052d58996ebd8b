package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// trial is a script, and what we want to be of it.
type trial struct {
	name     string
	scenario string
	peers    int
	values   map[string]string
	series   string  // of times or other figures, the largest of which counts
	goal     float64 // times the limit
	rivals   []string
	least    bool   // the goal is what it must be at least
	net      string // that all talk over, of sim.MediumNames; empty: a model of connections
	than     *other // of which the limit is; nil: of the bound that the run tells
}

// other is a run of the same script that a trial is compared with.
type other struct {
	name   string // for people
	peers  int
	values map[string]string
	series string
}

// chapter is trials that one table shows.
type chapter struct {
	title  string
	lines  bool // the limit is what the lines allow, in seconds
	trials []trial
	more   []row // figures of ours that are shown too
}

// Values of trials.
func with(lists ...map[string]string) map[string]string {
	all := make(map[string]string)
	for _, list := range lists {
		maps.Copy(all, list)
	}
	return all
}

// chapters are the trials of the exchange: what is fetched, by how many, from whom.
func chapters() []chapter {
	return []chapter{
		{title: "What the lines allow", lines: true, trials: append(fetches(), crowds()...), more: []row{
			{"came twice, %", "duplicate_share", most, 100, false},
			{"sent by the seed, copies", "seed_copies", most, 1, false},
			{"control, kB a peer", "control_bytes_per_peer", most, 1e-3, false},
		}},
		{title: "Questions", trials: questions()},
		{title: "Others in the crowd", trials: slices.Concat(freeRiders(), mixedCrowds(), comers())},
		{title: "Floods", trials: floods(), more: []row{{"heap, MB a flooder", "heap_mb_per_flooder", most, 1, false}}},
		{title: "Liars", trials: lies(), more: []row{{"liars found out", "liars_reported", most, 1, false}, {"honest peers reported", "honest_reported", most, 1, false}}},
	}
}

// boxo is the rival, as it fetches a whole DAG, and quic the network that is QUIC itself.
const (
	boxo = "boxo-pin"
	quic = "quic"
)

// fetchOf is a trial of one peer that fetches from others by fast lines.
func fetchOf(name string, peers int, goal float64, values ...map[string]string) trial {
	fast := map[string]string{"uplink": "100mbit", "downlink": "1000mbit", "jitter": "0s"}
	return trial{
		name: name, scenario: "fetch", peers: peers, values: with(append([]map[string]string{fast}, values...)...),
		series: "fetch_time_s", goal: goal, rivals: []string{boxo},
	}
}

// fetches are those of one peer.
func fetches() []trial {
	list := []trial{
		fetchOf("chain of 64, 100 ms", 2, 1.5, map[string]string{"shape": "chain", "count": "64", "rtt": "100ms"}),
	}
	for _, rtt := range []string{"20ms", "100ms", "200ms"} {
		list = append(list, fetchOf("16 MiB from one, "+rtt, 2, 1.1, map[string]string{"rtt": rtt}))
	}
	read := fetchOf("16 MiB read in order, 100ms", 2, 1.1, map[string]string{"rtt": "100ms", "way": "read"})
	read.rivals = []string{"boxo"}
	list = append(list, read,
		fetchOf("16 MiB in 1 MiB blocks, 100ms", 2, 1.1, map[string]string{"rtt": "100ms", "chunk": "1048576"}),
		fetchOf("10,000 small files, 50ms", 2, 1.3, map[string]string{"shape": "small", "count": "10000", "size": "40000000", "rtt": "50ms"}),
	)
	list = append(list, manyWants()...)
	for _, ups := range []string{"25mbit,25mbit,25mbit,25mbit", "50mbit,25mbit,15mbit,10mbit", "90mbit,5mbit,4mbit,1mbit"} {
		name := "16 MiB from four, " + strings.ReplaceAll(strings.ReplaceAll(ups, "mbit", ""), ",", "+") + " Mbit/s"
		list = append(list, fetchOf(name, 5, 1.3, map[string]string{"uplinks": ups, "rtt": "50ms"}))
	}
	return list
}

// manyWants are fetches of many small blocks, by each protocol.
func manyWants() (list []trial) {
	for _, wire := range []string{"both", "bitswap"} {
		for _, count := range []int{2000, 10_000, 100_000} {
			name := fmt.Sprintf("%d blocks of 1 KiB, 50ms", count)
			t := fetchOf(name, 2, 1.5, map[string]string{"chunk": "1024", "size": fmt.Sprint(count << 10), "rtt": "50ms", "wire": wire})
			if wire == "bitswap" {
				t.name += ", bitswap alone"
			}
			if wire == "bitswap" || count > 10_000 {
				t.rivals = nil
			}
			list = append(list, t)
		}
	}
	return list
}

// crowds are many peers that fetch the same.
func crowds() (list []trial) {
	of := func(n, mib int, goal float64, rivals ...string) trial {
		return trial{
			name: fmt.Sprintf("crowd of %d, %d MiB", n, mib), scenario: "flash-crowd", peers: n + 1,
			values: crowdValues(mib), series: "completion_time_s", goal: goal, rivals: rivals,
		}
	}
	overQUIC := func(t trial) trial {
		t.name += ", QUIC"
		t.net = quic
		return t
	}
	line20 := of(8, 50, 1.3)
	line20.name += ", 20 Mbit/s up"
	line20.values = with(line20.values, map[string]string{"uplink": "20mbit"})
	return []trial{
		of(4, 8, 1.5, boxo), of(16, 8, 1.5, boxo), of(64, 8, 1.5, boxo), of(128, 8, 1.5),
		of(4, 64, 1.25), of(16, 64, 1.25), of(64, 64, 1.25),
		overQUIC(of(16, 8, 1.5, boxo)), overQUIC(line20),
	}
}

// crowdValues are those of a crowd that fetches so many MiB.
func crowdValues(mib int) map[string]string {
	return map[string]string{"uplink": "10mbit", "downlink": "100mbit", "chunk": "262144", "rtt": "50ms", "way": "pin", "size": fmt.Sprint(mib << 20)}
}

// questions are trials of how many of them it takes.
func questions() (list []trial) {
	chain := fetchOf("round trips for each of 65 levels, from boxo, 100 ms", 2, 1.03,
		map[string]string{"shape": "chain", "count": "64", "rtt": "100ms", "from": boxo})
	chain.series = "round_trips_per_level"
	list = append(list, chain)
	for _, wire := range []string{"both", "bitswap"} {
		idle := fetchOf("wants for each block of 16 MiB, 200 peers connected that have nothing", 202, 3,
			map[string]string{"rtt": "50ms", "idle": "200", "conns": "200", "wire": wire})
		if wire == "bitswap" {
			idle.name += ", bitswap alone"
		}
		idle.series, idle.rivals = "wants_per_block", nil
		alone := with(idle.values, map[string]string{"idle": "0", "conns": "0"})
		late := idle
		late.name = strings.Replace(idle.name, "wants for each block of 16 MiB", "16 MiB from one, 50ms", 1) + ", s"
		late.series, late.goal, late.than = "fetch_time_s", 1.5, &other{"the same with nobody else", 2, alone, "fetch_time_s"}
		list = append(list, idle, late)
	}
	return list
}

// lies are fetches of 16 MiB from two honest peers, beside liars of each kind.
func lies() (list []trial) {
	of := func(kind, wire string, liars int) map[string]string {
		return map[string]string{
			"kind": kind, "wire": wire, "liars": fmt.Sprint(liars), "rtt": "50ms", "uplink": "50mbit", "downlink": "1000mbit", "jitter": "0s",
		}
	}
	for _, wire := range []string{"both", "bitswap"} {
		for _, kind := range []string{"silent", "busy", "corrupt", "mute", "drip", "bomb"} {
			if wire == "bitswap" && (kind == "bomb" || kind == "busy") {
				continue // which are of the swarm protocol
			}
			for _, n := range []int{1, 4, 8} {
				t := trial{
					name: fmt.Sprintf("%d %s", n, kind), scenario: "liars", peers: 3 + n, values: of(kind, wire, n), series: "fetch_time_s", goal: 1.3,
					than: &other{"without liars, s", 3, of("silent", wire, 0), "fetch_time_s"},
				}
				if wire == "bitswap" {
					t.name += ", bitswap alone"
				}
				list = append(list, t)
			}
		}
	}
	return list
}

// freeRiders are crowds of 16 of which four hardly give. What they ask for and confirm fills their
// lines, so all talk over QUIC itself.
func freeRiders() (list []trial) {
	for _, c := range []struct {
		mib    int
		gives  string
		rivals []string
	}{{8, "64kbit", []string{boxo}}, {8, "500kbit", nil}, {32, "64kbit", nil}} {
		values := with(crowdValues(c.mib), map[string]string{"gives": c.gives})
		without := other{"12 without riders, s", 13, with(values, map[string]string{"riders": "0"}), "completion_time_s"}
		givers := trial{
			name: fmt.Sprintf("12 who give, beside 4 riders of %s/s, %d MiB, QUIC, s", c.gives, c.mib), scenario: "free-riders", peers: 17, values: values,
			series: "completion_time_s", goal: 1.1, rivals: c.rivals, net: quic, than: &without,
		}
		riders := givers
		riders.name = fmt.Sprintf("4 riders of %s/s, the median, %d MiB, QUIC", c.gives, c.mib)
		riders.series, riders.goal, riders.least, riders.than = "riders_times_givers", 2, true, nil
		list = append(list, givers, riders)
	}
	return list
}

// mixedCrowds are crowds of 16 of which eight are boxo's.
func mixedCrowds() (list []trial) {
	pure := crowdValues(8)
	for _, from := range []string{"", boxo} {
		seed := "ours"
		if from == boxo {
			seed = "boxo"
		}
		of := trial{
			name: fmt.Sprintf("8 of ours beside 8 of boxo, from %s, 8 MiB, s", seed), scenario: "flash-crowd", peers: 17,
			values: with(pure, map[string]string{"from": from, "other": boxo}), series: "completion_time_s", goal: 1.3,
			than: &other{"16 of ours, from ours, s", 17, pure, "completion_time_s"},
		}
		theirs := of
		theirs.name = fmt.Sprintf("8 of boxo beside 8 of ours, from %s, 8 MiB, s", seed)
		theirs.series, theirs.goal = "other_completion_time_s", 1
		theirs.than = &other{"16 of boxo, from boxo, s", 17, with(pure, map[string]string{"client": boxo}), "completion_time_s"}
		list = append(list, of, theirs)
	}
	return list
}

// comers come one by one, and leave when they have it; half of them have a quarter of the
// uplink.
func comers() (list []trial) {
	for _, every := range []string{"3s", "6s"} {
		list = append(list, trial{
			name: fmt.Sprintf("16 who come each %s and leave, 8 MiB, the slowest", every), scenario: "joiners", peers: 17,
			values: with(crowdValues(8), map[string]string{"every": every}), series: "times_its_share", goal: 1.5,
		})
	}
	return list
}

// floods are of many who ask one peer for all that they can.
func floods() []trial {
	t := trial{
		name: "64 KiB from a peer that 1,000 flood, s", scenario: "flood", peers: 1002, series: "served_time_s", goal: 1,
		values: map[string]string{"rtt": "50ms", "uplink": "100mbit", "downlink": "100mbit", "jitter": "0s", "conns": "1002"},
	}
	kept := t
	kept.name, kept.series = "wants kept for each of 1,000 that flood", "wants_kept_per_flooder"
	return []trial{t, kept}
}
