package machine_test

import "flag"

// big has TestThousands run for minutes.
var big = flag.Bool("big", false, "let all of ten thousand machines be active")
