package sim

import "time"

// regions are one-way latencies in milliseconds between parts of the world, as
// between large cloud regions: Oregon, Virginia, São Paulo, Frankfurt, Cape Town,
// Mumbai, Singapore, Sydney.
var regions = [8][8]int{
	{2, 32, 88, 72, 138, 108, 82, 70},
	{32, 2, 57, 45, 113, 93, 107, 99},
	{88, 57, 2, 102, 170, 150, 164, 155},
	{72, 45, 102, 2, 77, 55, 80, 125},
	{138, 113, 170, 77, 2, 130, 155, 205},
	{108, 93, 150, 55, 130, 2, 31, 76},
	{82, 107, 164, 80, 155, 31, 2, 46},
	{70, 99, 155, 125, 205, 76, 46, 2},
}

// RegionCount is how many regions there are.
const RegionCount = len(regions)

// Regions is the latency between two peers by where they are.
func Regions(a, b *Peer) time.Duration {
	if a == nil || b == nil {
		return 0
	}
	return time.Duration(regions[a.region%RegionCount][b.region%RegionCount]) * time.Millisecond
}
