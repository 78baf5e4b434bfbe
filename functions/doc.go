/*
Carillon starts machine-learning pipelines when time has passed or when data has changed.

One program answers every function of the bundle: on a plain machine it is the scheduler itself and the command line.
This is the tour, in the order in which a fact travels:

	event  ->  due / match  ->  occurrence (recorded)  ->  queue  ->  submit  ->  run  ->  follow

A schedule ([carillon/shared/schedule]) ties a pipeline, an experiment and a trigger together. When it fires is
computed, never accumulated, by [carillon/shared/recur]; what is due, what was missed, what a claim finds are decisions
in shared/schedule: pure functions of values and of now.

The timer function ([carillon/functions/recurrence]) reads from the store ([carillon/shared/store]) what is due until
the next tick. One transaction moves a schedule to its next time and records the occurrence: both or neither. Then a
message ([carillon/shared/queue]) goes out, with the delay that is left, so that the run starts at its second.

The datastore function ([carillon/functions/datastore]) does the same for data that changed. An event, or a look at a
folder through [carillon/shared/source], only says where: an index tells which schedules watch it, the file is asked what it
is like now, and one transaction records the change and its occurrence, or adds it to a window.

Messages are hints. The clock is the only mover: whatever has to happen later stands in the store as a row that sorts
by its time, and a tick that finds it overdue sends it again. So nothing is lost when a message is, and nothing is
doubled when one comes twice: the submit function ([carillon/functions/submit]) claims an occurrence by compare-and-swap
before it asks the far side ([carillon/shared/pipeline]) for a run, under a name that is the same for every try.

The follow function ([carillon/functions/follow]) looks at a run until it has ended. People and programs see and change
all of it through [carillon/functions/api], and on a page, [carillon/functions/studio]. Clients of Azure ML's retired
service that cannot change find its routes in [carillon/functions/facade].

Old schedules of Azure ML are read by [carillon/shared/migrate], and moved through the API: the new one begins, the old one
is disabled, and the claim decides whose an occurrence is as long as it is not known which of the two fires.

A platform serves these functions ([carillon/shared/host]) and adds no logic: [carillon/shared/local] is a plain
machine, with its state in one file, and [carillon/shared/pipeline/local] runs commands there, each at most once.
The command line ([carillon/shared/cli]) is a client of the HTTP API. Errors for people are made in
[carillon/shared/problem].

main.go is the door, config.go every setting, serve.go what a plain machine puts together.
*/
package main
