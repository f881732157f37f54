// Package settings is a broker's configuration: one table of settings, the ways
// in which they are given, and the checks that they pass.
//
// A setting has one dotted name. Where Kafka has a setting of the meaning, the name
// is Kafka's. The same name is
//
//	a flag                  --num-partitions 3      dashes for dots
//	a pair of -X            -X num.partitions=3
//	a variable              FIRN_NUM_PARTITIONS=3   underscores for dots
//	a key of a YAML file    num.partitions: 3       nested, dotted, or both
//	a Kafka broker config   kafka-configs --entity-type brokers, for dynamic ones
//
// Words: a Spec is a row of the table; a Source is one place where values come
// from; Values are what the sources come to.
//
// Invariants:
//
//	T1  Nothing is ignored: a name that is not in the table is an error that says
//	    what was probably meant, in every source.
//	T2  The first source that sets a name wins: flag, -X, environment, file, default.
//	T3  Every value that a source gives is checked, also one that does not count.
//	T4  No error repeats the value of a setting that may hold a secret.
//	T5  Values do not change. What changes while a broker runs lives in the catalog.
package settings
