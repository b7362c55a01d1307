package api

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// readable returns d with unary methods that answer InvalidArgument to a message which cannot be read, such as one with a
// key that is not UTF-8. gRPC itself says Internal, which callers and their alerts take for the server's fault.
func readable(d *grpc.ServiceDesc) *grpc.ServiceDesc {
	r := *d
	r.Methods = make([]grpc.MethodDesc, len(d.Methods))
	for i, m := range d.Methods {
		r.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: readableMethod(m.Handler)}
	}
	return &r
}

// readableMethod is readable for one method.
func readableMethod(h grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		return h(srv, ctx, func(m any) error { return unreadable(dec(m)) }, in)
	}
}

// unreadable returns err, with which gRPC did not read a message, with the right code.
func unreadable(err error) error {
	if told := status.Convert(err); told.Code() == codes.Internal {
		return status.Error(codes.InvalidArgument, told.Message())
	}
	return err
}
