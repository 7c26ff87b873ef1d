// Package acl has kafka-acls: access control lists of any Kafka cluster, as far as its brokers have an authorizer; one without
// refuses each request, and the command prints its refusal as Apache Kafka's tool does.
package acl
