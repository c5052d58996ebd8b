package measure_test

import (
	"os"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
)

func ExampleRecorder() {
	r := measure.New()
	r.Add("find_time_s", 62*time.Second, 7, 0.25)
	r.Add("find_time_s", 60*time.Second, 3, 0.125)
	if err := r.WriteCSV(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// series,time_s,peer,value
	// find_time_s,60,3,0.125
	// find_time_s,62,7,0.25
}
