package store

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"carillon/shared/schedule"
)

// The rows of a shard, by their sort keys. Everything of one schedule stands in the shard that its name gives, so
// that one transaction can move it.
//
//	sch|NAME|def                 the schedule as it is now            (schedule.Schedule)
//	sch|NAME|due                 where its wake row stands            (dueRow)
//	sch|NAME|state               what is counted                      (schedule.State)
//	sch|NAME|poll                how far the looking has come         (schedule.Poll)
//	sch|NAME|window              the open window                      (schedule.Window)
//	lane|OCCURRENCE|K            what the open window counts          (schedule.Lane)
//	path|ID|HASH                 what is remembered of a file         (schedule.Seen)
//	chg|OCCURRENCE|TIME|HASH     a change in an occurrence's window   (schedule.Change)
//	old|OCCURRENCE|TIME|HASH     a change that a newer version has replaced in that window: the key of its once row
//	see|ID|PAGE|GENERATION       what a listing has shown             (Page)
//	rev|ID|N                     revision N, once it has been replaced
//	occ|ID|TIME|DISTINCT         an occurrence, newest first          (schedule.Occurrence)
//	log|TIME|OCCURRENCE          the same once it is final, empty before; those recorded last first
//	run|ID|OCCURRENCE            the occurrence is under way
//	ran|HASH|TIME|OCCURRENCE     what a schedule has run last of the pipeline that it starts, by the time of its claim: one row
//	                             of a schedule, which its state names; TIME in microseconds
//	buf|ID|OCCURRENCE            the occurrence waits for its turn
//	fil|ID|PLACE|OCCURRENCE      the same, of a backfill
//	once|ID|HASH                 a request that has been answered, a change or a number of a backfill that was taken: by which
//	                             occurrence
//	aud|TIME|ID|REVISION|RANDOM  a change that somebody made          (schedule.Audit); TIME in microseconds
//	aus|NAME|TIME|REVISION|...   the same, of a schedule
//	stop|FAMILY|HASH             a pipeline that is not to be started (schedule.Stop), in the shard that its family gives
//	wake|STAMP|s|ID              when a schedule is due               (schedule.Due)
//	wake|STAMP|o|OCCURRENCE      when the clock looks after an occurrence
//	wake|STAMP|p|ID              when the folders of a schedule are looked at; w: when its window closes; d: it is
//	                             deleted, and its rows are to be; r: those that wait for their turn are looked after
//	                             (the value is its name)
//
//	wake|STAMP|e|ID              an event that waits to be acted on   (parkedRow)
//
// TIME counts down, so that ascending order is newest first.

const (
	prefixSchedule = "sch|"
	prefixLog      = "log|"
	prefixWake     = "wake|"
	prefixBuffered = "buf|"
	prefixFilling  = "fil|"

	lastSecond = 253402300799 // 9999-12-31T23:59:59Z
)

// Shards is how many partitions the schedules are spread over. A store keeps the number that it was made with, and
// Open refuses another.
const Shards = 8

func shardOf(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() % Shards)
}

func partition(shard int) string { return "shard" + strconv.Itoa(shard) }

// A schedule's id begins with the digit of its shard, so that an occurrence's id tells where its rows are.
func shardOfID(id string) (int, error) {
	if id == "" || id[0] < '0' || id[0] >= '0'+Shards {
		return 0, fmt.Errorf("run %.100q: %w", id, ErrNotFound)
	}
	return int(id[0] - '0'), nil
}

func countdown(t time.Time) string { return fmt.Sprintf("%012d", lastSecond-t.Unix()) }

func scheduleKey(name, part string) string       { return prefixSchedule + name + "|" + part }
func revisionKey(id string, revision int) string { return fmt.Sprintf("rev|%s|%08d", id, revision) }
func occurrencesOf(id string) string             { return "occ|" + id + "|" }
func underWayOf(id string) string                { return "run|" + id + "|" }
func bufferedOf(id string) string                { return prefixBuffered + id + "|" }
func fillingOf(id string) string                 { return prefixFilling + id + "|" }
func requestKey(id, request string) string {
	h := fnv.New128a()
	h.Write([]byte(request))
	return fmt.Sprintf("once|%s|%x", id, h.Sum(nil))
}

// queueOf is where an occurrence waits for its turn.
func queueOf(o schedule.Occurrence) string {
	if o.Kind == schedule.Backfilled {
		return fillingOf(o.ScheduleID())
	}
	return bufferedOf(o.ScheduleID())
}

// queueKey is its row there: occurrences of one schedule sort by their times, those of backfills by their places.
func queueKey(o schedule.Occurrence) string {
	if o.Kind == schedule.Backfilled {
		return queueOf(o) + o.Place + "|" + o.ID
	}
	return queueOf(o) + o.ID
}

func dueWakeKey(d schedule.Due) string {
	return prefixWake + schedule.Stamp(d.Next) + "|s|" + d.ScheduleID
}

func occurrenceKey(id string) (string, error) {
	schedule, at, distinct, err := schedule.ParseOccurrenceID(id)
	if err != nil {
		return "", fmt.Errorf("run %.100q: %w", id, ErrNotFound)
	}
	if distinct == "" {
		distinct = "0"
	}
	return occurrencesOf(schedule) + countdown(at) + "|" + distinct, nil
}

func logKey(o schedule.Occurrence) string { return prefixLog + countdown(o.Recorded) + "|" + o.ID }

// occurrenceOf is the occurrence that the key of a row ends with.
func occurrenceOf(key string) string { return key[strings.LastIndexByte(key, '|')+1:] }

func wakeKey(o schedule.Occurrence) string {
	return prefixWake + schedule.Stamp(o.Wake) + "|o|" + o.ID
}

// endOf is greater than every key that begins with prefix and goes on with anything but '|'.
func endOf(prefix string) string { return prefix + "|" }

func nameOf(sort string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(sort, prefixSchedule), "|")
	return name
}
