package main

// intentions is every difference from Kafka that is meant, and why. The first row
// that fits explains.
var intentions = []intended{
	{api: "ApiVersions", path: `ApiKeys.*|(Supported|Finalized)Features.*|FinalizedFeaturesEpoch|ZkMigrationReady`,
		why: "what is not there is not advertised: transactions, KIP-848, share and streams groups, SASL, quotas, KRaft; old versions that cost nothing are"},
}
