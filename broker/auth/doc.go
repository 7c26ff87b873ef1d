// Package auth is who may do what. This broker has no authorizer and no secret for delegation tokens yet: the requests about access
// control lists and tokens are answered as Apache Kafka answers them then. SCRAM credentials are kept, for brokers of the cluster that
// authenticate with them:
//
//	AlterUserScramCredentials -> judge all users of the request -> /config/users/NAME in ZooKeeper, then a change notification
//	DescribeUserScramCredentials -> /config/users -> mechanisms and iterations, never the keys
//
// A credential is a setting of the user, named as its mechanism:
//
//	SCRAM-SHA-256 = salt=BASE64,stored_key=BASE64,server_key=BASE64,iterations=N
//
// The package starts no goroutine.
package auth
