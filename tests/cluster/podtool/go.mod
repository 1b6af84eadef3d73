module backstay.invalid/testbed/podtool

go 1.26.0
