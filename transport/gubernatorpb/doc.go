// Package gubernatorpb is the wire of Gubernator's public API, pb.gubernator.V1, generated from gubernator.proto: written anew,
// with Gubernator's names, numbers and types, so that its clients understand it.
//
// A program cannot link this package and Gubernator's own Go package together: both register the same names.
package gubernatorpb
