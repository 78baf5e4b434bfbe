//go:build !race

package datastore_test

const racing = false
