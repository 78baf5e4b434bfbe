// Package recur says when: a definition of times (a recurrence, a cron expression, one instant) becomes a Rule, and
// the Rule tells its occurrences, the same ones whenever and wherever it is asked. It reads no clock and does no I/O,
// save that package time may look for a zone in the system's tz database before it takes the one in the binary.
//
// A Spec is what people write. Decode reads it, Compile makes it a Rule, and both report everything that is wrong, field
// by field. A Calendar tells on which days and in which spans of time nothing fires.
//
// One rule holds for clocks that change. Minutes and hours count elapsed time. Days, weeks, months, and cron
// expressions whose hours are given keep the wall time of their zone: what clocks put forward leave out fires once, later
// by the gap; what comes twice fires once, at its first coming; a gap of a whole day is skipped. Cron expressions with *
// or / in the hour are matched against each minute that clocks show.
package recur
