//go:build race

package ccstest_test

const raceDetector = true
