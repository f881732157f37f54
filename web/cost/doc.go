// Package cost turns what brokers measured into what a bucket's owner bills: by
// topic, for a month that goes on like the time that was measured. It is pure: it
// reads no files, asks no brokers, knows no clock.
//
// Vocabulary:
//
//	sample       what one broker showed at /metrics
//	measurement  what a cluster did in some time: rates, and what is stored now
//	prices       a table; the default is Amazon's
//	bill         a month at those rates, at those prices
//
// Who pays for what. A WAL object holds the batches of many topics: its put is shared
// by bytes, and so are the puts that press those bytes into larger objects. GETs of
// readers are shared by the bytes that came from the bucket for each topic. What no
// topic causes (the journal, lists, brokers that look whether there is news) is the
// cluster's own. The lines of a bill add up to its total.
package cost
