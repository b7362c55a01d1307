// Package noriapb is the public gRPC API of a node: messages, client and server of noria.v1, generated from noria.proto.
package noriapb
