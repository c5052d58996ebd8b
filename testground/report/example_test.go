package report_test

import (
	"os"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
	"github.com/p2pnode/p2pnode/testground/report"
)

func ExampleWriteComparison() {
	before, after := measure.New(), measure.New()
	for i := range 100 {
		before.Add("find_time_s", time.Duration(i)*time.Second, i, 0.2+float64(i)/100)
		after.Add("find_time_s", time.Duration(i)*time.Second, i, 0.1+float64(i)/100)
	}
	err := report.WriteComparison(os.Stdout, report.Run{Label: "before", Values: before}, report.Run{Label: "after", Values: after})
	if err != nil {
		panic(err)
	}
	// Output:
	// series       before p50  before p99  after p50  after p99  p50 differs  p99 differs
	// find_time_s         0.7        1.19        0.6       1.09      −14.3 %       −8.4 %
}
