// Package web is what a broker serves over HTTP: metrics, probes, and a start page
// that lists them.
//
// Words: a probe is a question of an orchestrator; a reading is a number that a
// part of the broker keeps itself and that is looked at when somebody scrapes; an
// observer is what a part of the broker tells as it happens.
//
// Names. What kafka_exporter exports of a Kafka cluster has its names here, so that
// its dashboards and alerts work; everything else is firn_…, in base units, with
// _total for what only grows. A help text says what to do about the number.
//
// Invariants:
//
//	M1  Added up over all brokers, kafka_… counts everything once: a partition is
//	    reported by the broker that leads it, a group by its coordinator, and what
//	    belongs to the cluster by the live broker with the lowest id.
//	M2  No label has a value that a client can make up without creating something.
//	M3  A scrape does not wait for bucket, journal or other brokers.
//	M4  /livez depends on nothing but the process; /readyz on whether clients should
//	    be sent here. An outage of the bucket restarts nobody.
//	M5  Nothing here keeps state in package variables: two brokers in one process
//	    have two registries.
package web
