//go:build race

package datastore_test

// racing: the race detector makes all of it some ten times slower.
const racing = true
