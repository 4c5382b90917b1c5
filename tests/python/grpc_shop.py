"""A service of gRPC and a caller of it, by grpcio. Its messages are described here, and nothing is generated.

    python grpc_shop.py descriptors FILE        writes the descriptor set
    python grpc_shop.py server                  serves on a free port, which it prints as {"port": N}
    python grpc_shop.py client PORT CA TOKEN    calls it through Sluice, and prints what came as JSON
"""

import json
import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

CARD = "4111111111111111"
LARGE = 9_007_199_254_740_993  # no double has it


def described():
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop.v1", syntax="proto3")
    kinds = {"int64": 3, "string": 9, "bytes": 12, "bool": 8, "double": 1}

    def message(name, *fields, into=file.message_type):
        made = into.add(name=name)
        for number, (field, kind, *more) in enumerate(fields, 1):
            at = made.field.add(name=field, number=number, label=3 if "list" in more else 1)
            if kind in kinds:
                at.type = kinds[kind]
            else:
                at.type, at.type_name = 11, kind
        return made

    message("Card", ("number", "string"), ("holder", "string"))
    customer = message(
        "Customer", ("id", "int64"), ("name", "string"), ("cards", ".shop.v1.Card", "list"), ("active", "bool"),
        ("balance", "int64"), ("notes", ".shop.v1.Customer.NotesEntry", "list"), ("weight", "double"),
    )
    entry = message("NotesEntry", ("key", "string"), ("value", "string"), into=customer.nested_type)
    entry.options.map_entry = True
    message("Wanted", ("id", "int64"), ("text", "string"))
    service = file.service.add(name="Shop")
    for name, client, server in [("Get", False, False), ("List", False, True), ("Talk", True, True), ("Fail", False, False)]:
        service.method.add(
            name=name, input_type=".shop.v1.Wanted", output_type=".shop.v1.Customer",
            client_streaming=client, server_streaming=server,
        )
    return descriptor_pb2.FileDescriptorSet(file=[file])


pool = descriptor_pool.DescriptorPool()
for one in described().file:
    pool.Add(one)
Wanted, Customer = (message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop.v1.{name}")) for name in ("Wanted", "Customer"))


def customer(wanted):
    made = Customer(id=wanted.id, name="Ada", active=True, balance=LARGE, weight=1.5)
    for number in (CARD, "not a card"):
        made.cards.add(number=number, holder="Ada")
    made.notes["paid"] = f"with {CARD}" + f", said {wanted.text}" * bool(wanted.text)
    return made


def serve():
    def fail(wanted, context):
        context.abort(grpc.StatusCode.NOT_FOUND, f"nobody has {CARD}")

    handlers = {
        "Get": grpc.unary_unary_rpc_method_handler(lambda wanted, _: customer(wanted), Wanted.FromString, Customer.SerializeToString),
        "List": grpc.unary_stream_rpc_method_handler(
            lambda wanted, _: (customer(Wanted(id=at)) for at in range(wanted.id)), Wanted.FromString, Customer.SerializeToString),
        "Talk": grpc.stream_stream_rpc_method_handler(
            lambda every, _: (customer(one) for one in every), Wanted.FromString, Customer.SerializeToString),
        "Fail": grpc.unary_unary_rpc_method_handler(fail, Wanted.FromString, Customer.SerializeToString),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4), compression=grpc.Compression.Gzip)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.v1.Shop", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"port": port}), flush=True)
    server.wait_for_termination()


def call(port, ca, token):
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    metadata = [("authorization", f"Bearer {token}")]
    seen = lambda made: json_format.MessageToDict(made, preserving_proto_field_name=True)
    results = {}
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        def method(kind, name):
            return getattr(channel, kind)(f"/shop.v1.Shop/{name}", Wanted.SerializeToString, Customer.FromString)

        results["get"] = seen(method("unary_unary", "Get")(Wanted(id=7, text=CARD), metadata=metadata, timeout=30))
        results["zipped"] = seen(method("unary_unary", "Get")(
            Wanted(id=8), metadata=metadata, timeout=30, compression=grpc.Compression.Gzip))
        results["list"] = [seen(one) for one in method("unary_stream", "List")(Wanted(id=3), metadata=metadata, timeout=30)]
        asked = iter([Wanted(id=1), Wanted(id=2)])
        results["talk"] = [seen(one)["id"] for one in method("stream_stream", "Talk")(asked, metadata=metadata, timeout=30)]
        refused = [("fail", "Fail", 1, None), ("delete", "Delete", 1, None), ("unlucky", "Get", 13, None),
                   ("unlucky_zipped", "Get", 13, grpc.Compression.Gzip)]
        for key, name, wanted, compression in refused:
            try:
                # Texts are repeated, so that it is worth while to compress them.
                method("unary_unary", name)(
                    Wanted(id=wanted, text="a" * 200), metadata=metadata, timeout=30, compression=compression)
            except grpc.RpcError as error:
                results[key] = [error.code().name, error.details()]
    print(json.dumps(results))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["descriptors", file]:
            with open(file, "wb") as out:
                out.write(described().SerializeToString())
        case ["server"]:
            serve()
        case ["client", port, ca, token]:
            call(port, ca, token)
